"""How the local stack speaks to the person who started it."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

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
            stack, lambda done, total, label: progress.update(task, completed=done, description=label)
        )
        progress.update(task, description="ready" if started else "was up already")
    return started


def show_addresses(stack: Stack) -> None:
    """URLs and logins."""
    table = Table(title="Where to look", title_justify="left", show_header=False, box=None)
    urls = stack.urls
    table.add_row("Airflow", urls["airflow"], f"user admin, password {stack.secrets['airflow_admin']}")
    table.add_row("MLflow", urls["mlflow"], "no login (loopback only)")
    table.add_row("Dashboard", urls["dashboard"], "no login (loopback only, read-only role)")
    table.add_row("LLM servers", urls["llm"], f"and {urls['llm_2']}: OpenAI-compatible API")
    table.add_row("PostgreSQL", f"127.0.0.1:{stack.ports['postgres']}", f"URLs in {stack.var / 'local.env'}")
    console.print(table)
    console.print("`make down` stops all of it.")
