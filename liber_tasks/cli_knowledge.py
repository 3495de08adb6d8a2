"""What the command line says about learnt texts: `liber knowledge`, and how `liber timeline` looks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from liber_tasks import db
from liber_tasks.cli_output import line_progress, plain, show
from liber_tasks.config import settings

if TYPE_CHECKING:
    from datetime import datetime

    from liber_tasks.interest.timeline import TimelineEntry

knowledge = typer.Typer(
    help="Learnt texts as a file, for a database with the same behaviours or items.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
MISSING = "not learnt yet"


@knowledge.command("export")
def export_(
    path: Annotated[Path, typer.Argument(help="File to write; .gz compresses. Replaced if it is there.")],
    items: Annotated[bool, typer.Option("--items", help="Texts about items, not about partitions.")] = False,
    version: Annotated[
        str | None,
        typer.Option(
            "--knowledge-version", help="Default: the newest that has texts; of items, the one with the most."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the texts of one knowledge version to a file, keyed by user and partition or by item, with checksums."""
    from liber_tasks.interest.files.knowledge_export import export, export_items

    engine, report = db.connect(settings()), line_progress()
    if items:
        show(export_items(engine, path, knowledge_version=version, progress=report), as_json)
    else:
        show(export(engine, path, knowledge_version=version, progress=report), as_json)


@knowledge.command("import")
def import_(
    path: Annotated[Path, typer.Argument(help="What `liber knowledge export` wrote, or JSON Lines made elsewhere.")],
    skip_bad: Annotated[
        bool,
        typer.Option(
            "--skip-bad",
            "--skip-unmatched",
            help="Leave out texts of what is not here, and lines made elsewhere that are wrong.",
        ),
    ] = False,
    version: Annotated[
        str | None,
        typer.Option("--version", help="Of texts made elsewhere. Default: named after model and content."),
    ] = None,
    model: Annotated[
        str | None, typer.Option("--model", help="That wrote texts made elsewhere, where their lines do not say.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Store a file's texts, all or nothing; they are not learnt again. A second import changes nothing.

    A line made elsewhere: {"item_id", "text", "model"}, or {"user_id", "partition_no", "kind", "text", "model"} with
    kind summary or shift.
    """
    from liber_tasks.interest.files.knowledge_import import import_ as load

    report = load(
        db.connect(settings()), path, skip_bad=skip_bad, version=version, model=model, progress=line_progress()
    )
    show(report, as_json)


def show_timeline(entries: "Sequence[TimelineEntry]", user: str, as_json: bool = False) -> None:
    """Print a user's partitions with their texts, what these were made with and what they cost; totals at the end."""
    from liber_tasks.interest.timeline import totals

    whole = totals(entries)
    if as_json:
        show({"user_id": user, "partitions": [plain(entry) for entry in entries], "totals": plain(whole)}, True)
        return
    console = Console(highlight=False, emoji=False)
    for entry in entries:
        console.rule(f"P_{entry.partition_no}  {entry.started_at:%Y-%m-%d} to {entry.ended_at:%Y-%m-%d}  "
                     f"{entry.n_behaviors} behaviours", align="left")  # fmt: skip
        lines = Table.grid(padding=(0, 2))
        lines.add_column(no_wrap=True)
        lines.add_column(overflow="fold")
        lines.add_row("summary", _text(entry.summary, entry.summary_finish, entry.removed_at))
        if entry.partition_no > 1 and (entry.with_shift or entry.shift is not None):
            lines.add_row("shift", _text(entry.shift, entry.shift_finish, entry.removed_at))
        if entry.knowledge_version is not None:
            lines.add_row("by", _visible(f"{entry.model}, {entry.summary_prompt}, {entry.shift_prompt}"))
            lines.add_row("version", _visible(entry.knowledge_version))
            cost = f"{entry.prompt_tokens:,} in, {entry.completion_tokens:,} out"
            if entry.left_out:
                cost += f"; the {entry.left_out:,} oldest behaviours left out, the prompt would not fit"
            lines.add_row("tokens", Text(cost))
        console.print(lines)
    console.rule()
    console.print(f"{whole.texts:,} texts, {whole.prompt_tokens:,} tokens in, {whole.completion_tokens:,} out, "
                  f"{whole.calls:,} calls")  # fmt: skip


def _text(text: str | None, finish: str | None, removed_at: "datetime | None") -> Text:
    if text is None:
        return Text(MISSING if removed_at is None else f"removed by retention on {removed_at:%Y-%m-%d}")
    shown = _visible(text)
    return shown.append(" [cut at the token limit]", style="dim") if finish == "length" else shown


def _visible(text: str) -> Text:
    """Foreign text: neither markup nor terminal commands."""
    words = " ".join(text.split())
    return Text("".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in words))
