"""`liber readout`, and what follows from it: `liber experiment calibrate`, `liber experiment publish`."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from liber_tasks import db
from liber_tasks.cli_experiment import AsJson, Name, experiment
from liber_tasks.cli_output import line_progress, moment, show
from liber_tasks.config import settings

if TYPE_CHECKING:
    from liber_tasks.experiment.record import Readout


def readout(
    name: Name,
    watermark: Annotated[str | None, typer.Option(help="ISO 8601 with zone. Default: the newest data.")] = None,
    as_json: AsJson = False,
) -> None:
    """Lift of an A/B experiment with confidence intervals (paper, section 4.4.2). Takes planned looks nobody took."""
    from liber_tasks.experiment.readout import readout as read

    until = moment("--watermark", watermark) if watermark else None
    record = read(db.connect(settings()), name, watermark=until, progress=line_progress())
    if as_json:
        show(record, True)
    else:
        _show(record)


@experiment.command()
def calibrate(
    name: Name,
    splits: Annotated[int, typer.Option(help="Random splits of the experiment's users.")] = 5_000,
    as_json: AsJson = False,
) -> None:
    """How often each method finds a difference where there is none: random splits of this experiment's own users."""
    from liber_tasks.experiment.calibration import calibrate_experiment

    result = calibrate_experiment(db.connect(settings()), name, splits=splits, progress=line_progress())
    if as_json:
        show(result, True)
        return
    table = Table(box=None)
    for column in ("metric", "method"):
        table.add_column(column)
    for column in ("false positives", "95 % band"):
        table.add_column(column, justify="right")
    for one in result["rates"]:
        known = one["reason"] is None
        rate, band = (f"{one['rate']:.2%}", f"{one['low']:.2%} to {one['high']:.2%}") if known else ("-", "-")
        table.add_row(one["metric"], one["method"], rate, band)
    console = Console(highlight=False, markup=False)
    console.print(f"{result['splits']:,} random splits of {result['users']:,} users; 5 % should be found different")
    console.print(table)


@experiment.command()
def publish(name: Name, as_json: AsJson = False) -> None:
    """Put the final readout into MLflow, linked to the models it compares; a second time finds the first."""
    from liber_tasks.experiment.publish import publish as put

    run = put(db.connect(settings()), settings(), name)
    show({"experiment": name, "mlflow_run": run}, as_json, f"{name}: MLflow run {run}")


def _show(record: "Readout") -> None:
    from liber_tasks.dashboard import remarks, verdicts, words

    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(f"{record.experiment}: {verdicts.decision(record)[1]}")
    for warning in filter(None, [remarks.mismatch(record), *remarks.warnings(record)]):
        console.print(f"! {warning}")
    table = Table(box=None)
    for column in ("metric", "method"):
        table.add_column(column, no_wrap=True)
    for column in ("control", "treated", "lift", "95 % interval", "p"):
        table.add_column(column, justify="right", no_wrap=True)
    for metric in verdicts.ordered(record):
        for method, one in metric.estimates.items():
            means = (words.number(one.control), words.number(one.treatment))
            lift = (words.percent(one.lift), words.interval(one.lift_low, one.lift_high), words.p_value(one.p_value))
            name = f"{words.method(method)}{' *' if one is metric.best else ''}"
            table.add_row(words.metric(metric.name), name, *means, *lift)
    console.print(table)
    console.print("* decides, fixed with the definition")
