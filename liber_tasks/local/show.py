"""How the local stack speaks to the person who started it."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from liber_tasks import types
from liber_tasks.errors import InputError
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


def make_backup(stack: Stack, keep: list[str]) -> None:
    """Back up with a progress bar; `keep`: the number of backups to keep, or nothing."""
    from liber_tasks.local.backup import backup

    if keep and not (keep[0].isdecimal() and int(keep[0])):
        raise InputError(f"--keep is {keep[0]!r}: write how many backups to keep, 1 or more.")
    with _told("backup") as progress:
        made = backup(stack, int(keep[0]) if keep else None, progress)
    console.print(f"{made.folder}: {made.megabytes:,} MB, restorable from {made.ended_at.isoformat()} on.")


def bring_back(stack: Stack, to: list[str]) -> None:
    """Restore with a progress bar; `to`: the moment, or nothing for the newest state."""
    from liber_tasks.cli_output import moment
    from liber_tasks.local.restore import restore

    with _told("restore") as progress:
        done = restore(stack, moment("--to", to[0]) if to else None, progress)
    console.print(f"Restored from {done.backup}; users erased again: {done.erased_again}.")
    if done.traces is None:
        console.print("MLflow did not answer: erase these users' traces there by hand.")
    if done.kept:
        console.print(f"The database as it was before is in {done.kept}: look at the restored one, then delete it.")
    console.print("`make up` starts the stack.")


@contextmanager
def _told(step: str) -> Iterator[types.Progress]:
    """A bar that follows a function's progress."""
    with bars() as progress:
        task = progress.add_task("", total=None, step=step)
        yield lambda done, total, label: progress.update(task, completed=done, total=total, description=label)


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
