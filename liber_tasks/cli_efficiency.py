"""What `liber efficiency` takes and how its table looks."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from liber_tasks import db
from liber_tasks.cli_output import line_progress, show
from liber_tasks.config import settings

if TYPE_CHECKING:
    from liber_tasks.interest.study.efficiency_report import EfficiencyReport

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
UNKNOWN = "-"


def efficiency(
    users: Annotated[int, typer.Option(min=1, help="Users to draw among those with two partitions.")] = 5,
    steps: Annotated[
        int, typer.Option(min=1, help="Calls measured at most of a user and a variant that asks at each behaviour.")
    ] = 10,
    seed: Annotated[int, typer.Option(help="Of the users drawn and of the order of calls.")] = 0,
    in_flight: Annotated[int, typer.Option(min=1, help="Calls at once; 1 gives a serial time.")] = 1,
    as_json: AsJson = False,
) -> None:
    """Calls, tokens and time per user with and without partitions and shifts (paper, Table 6); nothing is stored."""
    from liber_tasks.interest.study.efficiency import efficiency as measure

    report = measure(db.connect(settings()), settings(), users=users, steps=steps, seed=seed, in_flight=in_flight,
                     progress=line_progress())  # fmt: skip
    if as_json:
        show(report, True)
    else:
        show_efficiency(report)


def show_efficiency(report: "EfficiencyReport") -> None:
    """Print the table, and below it how to read it and what went wrong."""
    console = Console(highlight=False, emoji=False, markup=False)
    cached = any(each.cached_tokens_per_prompt is not None for each in report.variants)
    table = Table("variant", box=None, collapse_padding=True)
    for name in ("calls\n/user", "tokens\n/prompt", *(["cached"] if cached else []), "seconds\n/user",
                 "seconds\n/call", "tokens\n/second", "calls\nmeasured"):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for each in report.variants:
        time = _number(each.seconds_per_user, 1)
        if each.seconds_per_user_error is not None:
            time += f" \N{PLUS-MINUS SIGN} {_number(each.seconds_per_user_error, 1)}"
        table.add_row(
            each.label, _number(each.calls_per_user, 2), _number(each.tokens_per_prompt, 1),
            *([_number(each.cached_tokens_per_prompt, 1)] if cached else []), time, _number(each.seconds_per_call, 2),
            _number(each.tokens_per_second, 1), f"{each.measured:,}",
        )  # fmt: skip
    console.print(table)
    for line in _notes(report):
        console.print(line, soft_wrap=True)


def _notes(report: "EfficiencyReport") -> list[str]:
    drawn = len(report.users_sampled)
    lines = [
        f"Model {report.model} at {report.server or 'a server that answered nothing'}; {report.questions:,} questions "
        f"in {report.seconds:,.0f} s, {report.in_flight} in flight; {drawn} users drawn by seed {report.seed} among "
        "those with two partitions.",
        f"Calls per user: counted over all {report.users:,} users. Seconds per user: mean time of a measured call x "
        "calls per user, \N{PLUS-MINUS SIGN} its standard error over the users drawn.",
        f"LLM (length=...) asks at each behaviour; at most {report.steps} steps of a user were measured, evenly "
        "spaced. Questions in the same words were put once and count for each variant.",
    ]
    if report.partitioned_users < report.users:
        each = ", ".join(f"{cost.label} {cost.calls_per_partitioned_user:.2f}" for cost in report.variants)
        lines.append(f"Over the {report.partitioned_users:,} users that have a partition, calls per user: {each}.")
    if any(cost.measured and cost.tokens_per_prompt is None for cost in report.variants):
        lines.append("The server does not count tokens.")
    if any(cost.measured and cost.cached_tokens_per_prompt is None for cost in report.variants):
        lines.append("How much of a prompt came out of the server's prefix cache is not known.")
    for cost in report.variants:
        if cost.shortened:
            lines.append(f"{cost.label}: {cost.shortened:,} prompts were cut to the server's context.")
        if cost.failed or cost.refused or cost.unasked:
            lines.append(
                f"{cost.label}: without a time are {cost.failed:,} calls that failed, {cost.refused:,} that got no "
                f"usable answer and {cost.unasked:,} shifts of a summary so lost."
            )
    return lines


def _number(value: float | None, digits: int) -> str:
    return UNKNOWN if value is None else f"{value:,.{digits}f}"
