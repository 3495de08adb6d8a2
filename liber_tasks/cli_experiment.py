"""Commands of an experiment's life: `liber experiment define`, `power`, `assign`, `expose`, `ramp`, `stop` ..."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from liber_tasks import db
from liber_tasks.cli_output import line_progress, moment, plain, show
from liber_tasks.config import settings
from liber_tasks.errors import InputError

if TYPE_CHECKING:
    from liber_tasks.experiment.definition import Definition
    from liber_tasks.experiment.history import PowerReport

experiment = typer.Typer(
    help="A/B experiments, from their definition to the archive; `liber readout` reads them.", no_args_is_help=True
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Name = Annotated[str, typer.Argument(help="Experiment.")]


@experiment.command()
def define(
    file: Annotated[Path | None, typer.Argument(help="YAML; options below win over it.")] = None,
    name: Annotated[str | None, typer.Option(help="Of the experiment.")] = None,
    hypothesis: Annotated[str | None, typer.Option(help="What is expected, and why.")] = None,
    salt: Annotated[str | None, typer.Option(help="Of the arms. Default: the name.")] = None,
    layer: Annotated[str | None, typer.Option(help="Experiments of one layer exclude each other.")] = None,
    slot: Annotated[str | None, typer.Option(help="Buckets of the layer, such as 0:5000. Default: all.")] = None,
    traffic: Annotated[float | None, typer.Option(help="Share let in, to 1.")] = None,
    control: Annotated[float | None, typer.Option(help="Share of those let in.")] = None,
    treatment: Annotated[float | None, typer.Option(help="Share of those let in.")] = None,
    starts_at: Annotated[str | None, typer.Option(help="Date, or ISO 8601 with zone.")] = None,
    ends_at: Annotated[str | None, typer.Option(help="Likewise; the first moment outside.")] = None,
    effect: Annotated[float | None, typer.Option(help="Minimum detectable effect, relative.")] = None,
    check: Annotated[bool, typer.Option("--check", help="Say what would happen; write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store an experiment's definition; the same one again changes nothing, and what has begun keeps what it is."""
    from liber_tasks.experiment.define import define as store

    given = {"name": name, "hypothesis": hypothesis, "salt": salt, "layer": layer, "traffic": traffic,
             "starts_at": starts_at, "ends_at": ends_at, "minimum_detectable_effect": effect,
             "slot": _slot(slot) if slot else None}  # fmt: skip
    arms = {"control": control, "treatment": treatment}
    report = store(db.connect(settings()), _definition(file, given, arms), check=check)
    done = "defined" if report.created else f"changed {', '.join(report.changed)}" if report.changed else "as before"
    show(report, as_json, f"{report.experiment}: {f'{done}, if it were no check' if check else done}.")


@experiment.command("list")
def list_(
    archived: Annotated[bool, typer.Option("--archived", help="Also what is archived.")] = False,
    as_json: AsJson = False,
) -> None:
    """The experiments there are, the last to start first."""
    from liber_tasks.experiment.life import standings

    found = standings(db.connect(settings()), archived=archived)
    if as_json:
        show({"experiments": [plain(one) for one in found]}, True)
        return
    table = Table(box=None)
    for column in ("experiment", "state", "layer"):
        table.add_column(column, overflow="fold")
    for column in ("control", "treated"):
        table.add_column(column, justify="right", no_wrap=True)
    for column in ("starts", "ends"):
        table.add_column(column, no_wrap=True)
    for one in found:
        slot = f" {one.slot[0]}:{one.slot[1]}" if one.slot else ""
        shares = (f"{share:.2%}" for share in one.share.values())  # of all users, traffic included
        state = f"{one.state}, simulated" if one.simulated else one.state
        days = (f"{day:%Y-%m-%d}" for day in (one.starts_at, one.ends_at))
        table.add_row(one.name, state, f"{one.layer or ''}{slot}", *shares, *days)
    Console(highlight=False, markup=False).print(table)


@experiment.command("show")
def show_(name: Name, as_json: AsJson = False) -> None:
    """One experiment: its state, its definition, and who was exposed."""
    from liber_tasks.experiment.life import standing

    state, stored, exposures = standing(db.connect(settings()), name)
    rest = {"salt": stored.salt, "arms": {"control": stored.control_share, "treatment": stored.treatment_share}}
    plan = stored.plan.model_dump(mode="json", exclude_none=True)
    show({**plain(state), **rest, **plan, "exposures": plain(exposures)}, as_json)


@experiment.command()
def power(
    what: Annotated[str, typer.Argument(help="YAML file, or the name of a defined experiment.")],
    until: Annotated[str | None, typer.Option(help="ISO 8601 with zone. Default: the newest behaviours.")] = None,
    as_json: AsJson = False,
) -> None:
    """Users each primary metric needs for the minimum detectable effect, from what history says of it."""
    from liber_tasks.experiment.history import power as ask
    from liber_tasks.experiment.stored import load

    engine, end = db.connect(settings()), moment("--until", until) if until else None
    if Path(what).suffix in (".yaml", ".yml"):
        read = _definition(Path(what), {}, {})
        report = ask(engine, read.plan, read.assignment, read.ends_at - read.starts_at, until=end)
    else:
        with db.database_errors(), engine.connect() as connection:
            found = load(connection, what)
        report = ask(engine, found.plan, found.assignment, found.ends_at - found.starts_at, until=end)
    if as_json:
        show(report, True)
    else:
        _show_power(report)


@experiment.command()
def assign(
    name: Name,
    users: Annotated[list[str], typer.Argument(help="User ids.")],
    as_json: AsJson = False,
) -> None:
    """The arm of each user; the same as `liber.assigned_arm(experiment, user)` in SQL."""
    from liber_tasks.experiment.stored import load

    with db.database_errors(), db.connect(settings()).connect() as connection:
        assignment = load(connection, name).assignment
    arms = {user: assignment.arm_of(user) for user in users}
    show({"experiment": name, "arms": arms}, as_json, "\n".join(f"{user} {arm or '-'}" for user, arm in arms.items()))


@experiment.command()
def expose(
    name: Name,
    file: Annotated[Path, typer.Argument(help=".jsonl or .csv with user_id, exposed_at and, if known, arm.")],
    as_json: AsJson = False,
) -> None:
    """Log who was served and when, all or nothing; of each user the first exposure stays."""
    from liber_tasks.experiment.exposure import log_exposures
    from liber_tasks.experiment.exposure_file import read_exposures

    show(log_exposures(db.connect(settings()), name, read_exposures(file), progress=line_progress()), as_json)


@experiment.command()
def ramp(
    name: Name,
    traffic: Annotated[float, typer.Option(help="Share to let in from now on; it only grows.")],
    as_json: AsJson = False,
) -> None:
    """Let more users in; nobody changes the arm."""
    from liber_tasks.experiment import life

    show(life.ramp(db.connect(settings()), name, traffic), as_json)


@experiment.command()
def stop(name: Name, as_json: AsJson = False) -> None:
    """End a running experiment now."""
    from liber_tasks.experiment import life

    show(life.stop(db.connect(settings()), name), as_json)


@experiment.command()
def archive(name: Name, as_json: AsJson = False) -> None:
    """Hide an experiment that is over, or that shall never start; it takes no exposures any more."""
    from liber_tasks.experiment import life

    show(life.archive(db.connect(settings()), name), as_json)


def _definition(file: Path | None, given: dict[str, Any], arms: dict[str, float | None]) -> "Definition":
    from liber_tasks.experiment.definition import parse, read_file

    read = read_file(file) if file else {}
    read |= {field: value for field, value in given.items() if value is not None}
    shares = {arm: share for arm, share in arms.items() if share is not None}
    if shares:
        read["arms"] = {**(read.get("arms") or {}), **shares}
    return parse(read, str(file) if file else "The definition")


def _slot(text: str) -> list[int]:
    first, _, end = text.partition(":")
    if not (first.isdecimal() and end.isdecimal()):
        raise InputError(f"--slot is {text!r}: write the first bucket and the first behind it, such as 0:5000.")
    return [int(first), int(end)]


def _show_power(report: "PowerReport") -> None:
    console = Console(highlight=False, markup=False)
    console.print(
        f"{report.users:,} users from {report.first_day} to before {report.until_day}, pre-period of {report.pre_days} "
        f"days; expected {report.expected['control']:,} in control, {report.expected['treatment']:,} in treatment"
    )
    table = Table(box=None)
    for column in ("metric", "decides"):
        table.add_column(column)
    effect = f"{report.minimum_detectable_effect:.2%}"
    for column in (
        "mean",
        "variance",
        "correlation",
        f"control\nfor {effect}",
        f"treatment\nfor {effect}",
        "detectable",
    ):
        table.add_column(column, justify="right")
    for one in report.metrics:
        able = "-" if one.detectable is None else f"{one.detectable:.2%}"
        figures = (f"{one.mean:,.4g}", f"{one.variance:,.4g}", f"{one.correlation:.3f}")
        table.add_row(one.metric, one.decides, *figures, *(f"{n:,}" for n in one.needed.values()), able)
    console.print(table)
