"""What `liber evaluate` takes and how its tables look."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from liber_tasks import db
from liber_tasks.cli_output import line_progress, show
from liber_tasks.config import settings
from liber_tasks.errors import InputError
from liber_tasks.evaluation import studies
from liber_tasks.evaluation.studies import MEMORY, TABLE7

if TYPE_CHECKING:
    from liber_tasks.evaluation.report import Report


class Split(StrEnum):
    """How samples are split."""

    time = "time"
    users = "users"


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
FILE_WIDTH = 160
STUDIES = (
    "table2: each backbone without and with LIBER. "
    "controls: the knowledge against random vectors, raw text, genre counts and the same vectors shuffled; the one "
    "study that may claim a lift. "
    "figure4: without partitions, without shift, mean pooling. "
    "ablation: each option beyond the paper. "
    "figure1: AUC by length of the history. "
    "memory: what the partition memory brings by what it is made of, the LLM's knowledge about items first. "
    "table7: time of inference with LIBER against without."
)


def evaluate(
    study: Annotated[str, typer.Argument(help=STUDIES)],
    backbone: Annotated[
        list[str] | None, typer.Option(help="Again for several; default: all for table2 and table7, else dien.")
    ] = None,
    backbones: Annotated[str | None, typer.Option(help="The same as a list, such as dien,din,dcnv2.")] = None,
    seeds: Annotated[int, typer.Option(help="Models of each kind, paired by seed; a claim needs five.")] = 5,
    processes: Annotated[int, typer.Option(help="Models trained at once, each on one core.")] = 1,
    knowledge: Annotated[
        str | None, typer.Option(help="For memory: version of the texts about items. Default: as the settings say.")
    ] = None,
    protocol: Annotated[
        Split | None, typer.Option(help="For memory: split by time, or five folds of users. Default: time.")
    ] = None,
    variant: Annotated[
        list[str] | None, typer.Option(help="For memory: again for several rows of its table; default: all.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(help="For table7: how often each model is timed.")] = None,
    out: Annotated[Path | None, typer.Option(help="Folder for the report: Markdown, HTML, JSON and a plot.")] = None,
    as_json: AsJson = False,
) -> None:
    """Train and compare what a table or figure of the paper compares; the report goes to MLflow too.

    What was trained before is not trained again: a stopped run goes on, and studies share models.
    """
    if study not in (TABLE7, MEMORY):
        studies.study(study)
    if study != TABLE7 and rounds is not None:
        raise InputError(f"--rounds is for {TABLE7}: leave it out for {study}, which has --seeds.")
    for option, value in (("--knowledge", knowledge), ("--protocol", protocol), ("--variant", variant)):
        if study != MEMORY and value:
            raise InputError(f"{option} is for {MEMORY}: leave it out for {study}.")
    from liber_tasks.evaluation import memory, run, speed  # once it is clear what is asked

    config = settings()
    names = (*(backbone or ()), *(name.strip() for name in (backbones or "").split(",") if name.strip()))
    given: dict[str, Any] = {"backbones": names, "out": out, "progress": line_progress()}
    report: Report
    if study == MEMORY:
        report = memory.run_memory(
            db.connect(config), config, knowledge=knowledge, split=protocol.value if protocol else "time",
            variants=tuple(variant or ()), seeds=seeds, processes=processes, **given,
        )  # fmt: skip
    elif study == TABLE7:
        report = run.run_table7(db.connect(config), config, rounds=speed.ROUNDS if rounds is None else rounds, **given)
    else:
        report = run.run(db.connect(config), config, study, seeds=seeds, processes=processes, **given)
    if as_json:
        show(report, True)
    else:
        show_report(report)


def show_report(report: "Report") -> None:
    """Print the verdict, the tables, how to read them, and where the files are."""
    from liber_tasks.evaluation.report import caption, grids

    # in a file a table need not fit a screen
    console = Console(highlight=False, emoji=False, markup=False, width=None if sys.stdout.isatty() else FILE_WIDTH)
    console.print(report.title, style="bold")
    for line in report.verdict:
        console.print(line, soft_wrap=True)
    for grid in grids(report):
        table = Table(title=grid.title, box=None, title_justify="left", collapse_padding=True)
        for number, name in enumerate(grid.columns):
            table.add_column(name, justify="left" if number < 2 else "right")
        for each in grid.lines:
            table.add_row(*each)
        console.print()
        console.print(table)
    console.print()
    for line in (*caption(report), *report.files):
        console.print(line, soft_wrap=True)
