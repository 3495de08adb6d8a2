"""How the local stack speaks to the person who started it."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from liber_tasks.local import stack as local_stack
from liber_tasks.local.environment import Stack

console = Console(highlight=False, soft_wrap=True)


def bars() -> Progress:
    """A live progress display."""
    return Progress(TextColumn("[bold]{task.fields[step]:<10}"), BarColumn(24), MofNCompleteColumn(),
                    TimeElapsedColumn(), TextColumn("{task.description}"), console=console)  # fmt: skip


def bring_up(stack: Stack) -> bool:
    """Start the stack with a progress bar; True when this call started it."""
    with bars() as progress:
        task = progress.add_task("starting", total=None, step="stack")
        started = local_stack.up(
            stack, lambda done, total, label: progress.update(task, completed=done, total=total, description=label)
        )
        if not started:
            progress.update(task, completed=1, total=1)
        progress.update(task, description="ready" if started else "was up already")
    return started


def show_addresses(stack: Stack) -> None:
    """URLs and logins."""
    urls = stack.urls
    console.print("[bold]Where to look[/bold]")
    for name, address, note in (
        ("Airflow", urls["airflow"], f"user admin, password {stack.secrets['airflow_admin']}"),
        ("MLflow", urls["mlflow"], "no login, this machine only"),
        ("Dashboard", urls["dashboard"], "no login, this machine only, read-only role"),
        ("LLM servers", f"{urls['llm']} {urls['llm_2']}", "OpenAI-compatible API"),
        (
            "PostgreSQL",
            f"127.0.0.1:{stack.ports['postgres']}",
            f"logins in {stack.var / 'local.env'}",
        ),
    ):
        console.print(f"  {name:<12} {address}  {note}")
    console.print("`make down` stops all of it.")
