"""What `liber plan` takes and how its tables look."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from liber_tasks import db
from liber_tasks.cli_output import show
from liber_tasks.config import settings
from liber_tasks.errors import InputError

if TYPE_CHECKING:
    from liber_tasks.capacity.inputs import Inputs
    from liber_tasks.capacity.plan import Plan

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Number = float | None


def plan(
    users: Annotated[Number, typer.Option(help="Users known.")] = None,
    active_share: Annotated[Number, typer.Option(help="Of them on a day, 0 to 1.")] = None,
    events_per_user: Annotated[Number, typer.Option(help="Behaviours a day of an active user.")] = None,
    partition_k: Annotated[int | None, typer.Option("--partition-k", "--k", help="Behaviours of a partition.")] = None,
    items: Annotated[Number, typer.Option(help="Of the catalogue.")] = None,
    new_items: Annotated[Number, typer.Option(help="New or changed items a day.")] = None,
    prompt_rate: Annotated[Number, typer.Option(help="Prompt tokens a second of a GPU.")] = None,
    output_rate: Annotated[Number, typer.Option(help="Answer tokens a second of a GPU.")] = None,
    gpu_hour: Annotated[Number, typer.Option(help="Price of a GPU hour.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any other assumption.")] = None,
    file: Annotated[Path | None, typer.Option(help="YAML file of assumptions; options win over it.")] = None,
    measured: Annotated[
        bool, typer.Option("--measured", help="Users, pace and tokens of a call as the database has them.")
    ] = False,
    assumptions: Annotated[bool, typer.Option("--assumptions", help="List them, with where they come from.")] = False,
    as_json: AsJson = False,
) -> None:
    """What a platform of a size needs: calls, GPU hours, disk, WAL, cores, cost; asks and writes nothing."""
    from liber_tasks.capacity.plan import plan as make

    options = {"users": users, "active_share": active_share, "events_per_user": events_per_user,
               "partition_k": partition_k, "items": items, "new_items": new_items, "prompt_rate": prompt_rate,
               "output_rate": output_rate, "gpu_hour": gpu_hour}  # fmt: skip
    given = _inputs({name: value for name, value in options.items() if value is not None}, set_ or [], file, measured)
    if assumptions:
        _show_assumptions(given, as_json)
        return
    made = make(given)
    if as_json:
        show(made, True)
    else:
        show_plan(made)


def _inputs(options: dict[str, Any], pairs: list[str], file: Path | None, measured: bool) -> "Inputs":
    """Defaults, then the database, the file, `--set` and the options, each over what comes before; each is checked by
    itself, so that an error says whose it is."""
    from liber_tasks.capacity.inputs import Inputs

    values: dict[str, Any] = {}
    if measured:
        from liber_tasks.capacity.measured import measured as read

        values |= read(db.connect(settings()))
    layers = [(_read(file), str(file))] if file else []
    for found, what in (*layers, (dict(map(_pair, pairs)), "--set"), (options, "")):
        Inputs.of(found, what)
        values |= found
    return Inputs.of(values, "The assumptions together")


def _read(file: Path) -> dict[str, Any]:
    from liber_tasks.experiment.definition import read_file

    return read_file(file)


def _pair(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise InputError(f"--set is {text!r}: write NAME=VALUE, such as --set peak=3.")
    return name.strip().replace("-", "_"), None if value.strip() in ("", "none") else value.strip()


def _show_assumptions(given: "Inputs", as_json: bool) -> None:
    fields = type(given).model_fields
    if as_json:
        show({name: {"value": getattr(given, name), "is": field.description} for name, field in fields.items()}, True)
        return
    table = Table("assumption", box=None)
    table.add_column("value", justify="right")
    table.add_column("what it is")
    for name, field in fields.items():
        value = getattr(given, name)
        table.add_row(name, f"{value:,}" if isinstance(value, int | float) else str(value or "-"), field.description)
    Console(highlight=False, emoji=False, markup=False).print(table)


def show_plan(made: "Plan") -> None:
    """Print a day, the years, a month."""
    from liber_tasks.capacity.units import count, size

    console = Console(highlight=False, emoji=False, markup=False)
    day, month, cores = made.day, made.month, made.day.cores
    lines = (
        ("behaviours", count(day.behaviors)),
        ("partitions", count(day.partitions)),
        ("LLM calls", f"{count(day.summary_calls + day.shift_calls + day.item_calls)}: {count(day.summary_calls)} "
                      f"summaries, {count(day.shift_calls)} shifts, {count(day.item_calls)} items"),
        ("calls an active user", count(day.calls_per_active_user)),
        ("tokens", f"{count(day.prompt_tokens)} in prompts, {count(day.answer_tokens)} in answers"),
        ("GPU hours", f"{count(day.gpu_hours)}: {day.gpus:,} to do it in a day, {day.gpu_use:.0%} busy; "
                      f"{day.gpus_at_peak:,} to keep up with the peak"),
        ("CPU hours", f"{count(day.ingest_cpu_hours)} ingest, {count(day.database_cpu_hours)} seal and store, "
                      f"{count(day.learner_cpu_hours)} learner, {count(day.encoder_cpu_hours)} encoder"),
        ("cores", f"{cores:,}, of them {day.serving_processes:,} serving"),
        ("a training run", f"{count(day.training_cpu_hours)} CPU hours, {size(day.training_memory_gb * 1e9)} memory"),
        ("serving memory", size(day.serving_memory_gb * 1e9)),
        ("WAL", size(made.wal_bytes)),
    )  # fmt: skip
    table = Table("a day", "", box=None)
    for line in lines:
        table.add_row(*line)
    console.print(table)
    console.print()
    table = Table("after", box=None)
    for each in made.growth:
        table.add_column(f"{each.years} year" + "s" * (each.years > 1), justify="right")
    for name in made.growth[0].stored.bytes:
        table.add_row(name, *(size(each.stored.bytes[name]) for each in made.growth))
    for name, values in (
        ("database", [size(each.stored.total) for each in made.growth]),
        ("backups", [size(each.backup_bytes) for each in made.growth]),
        ("partitions", [count(each.stored.partitions) for each in made.growth]),
        ("calls about users", [count(each.stored.calls) for each in made.growth]),
        ("GPU hours so far", [count(each.gpu_hours) for each in made.growth]),
    ):
        table.add_row(name, *values)
    console.print(table)
    console.print()
    parts = (("GPUs", month.gpus), ("cores", month.cores), ("disk", month.disk), ("backups", month.backups))
    console.print(f"A month: {month.total:,.0f}: " + ", ".join(f"{name} {cost:,.0f}" for name, cost in parts) + ".")
    console.print("Rates, prices and shares are guesses until you set them: liber plan --assumptions.")
