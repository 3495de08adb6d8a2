"""The `liber` command line: every stage by hand. Results on stdout, progress and errors on stderr."""

import sys
from enum import StrEnum
from typing import Annotated

import typer

from liber_tasks import (
    cli_learn,
    cli_model,
    cli_privacy,
    cli_readout,
    cli_status,
    cli_train,
    cli_vectors,
    db,
    learning,
    logs,
)
from liber_tasks.cli_efficiency import efficiency
from liber_tasks.cli_erasures import erasures
from liber_tasks.cli_evaluate import evaluate
from liber_tasks.cli_experiment import experiment
from liber_tasks.cli_explain import explain
from liber_tasks.cli_knowledge import knowledge
from liber_tasks.cli_output import HarmlessStream, harmless, line_progress, moment, show
from liber_tasks.cli_plan import plan
from liber_tasks.config import settings
from liber_tasks.errors import InputError, LiberError

app = typer.Typer(
    help="LIBER: lifelong user behaviour modelling with large language models.\n\n"
    "Stages in order: init-db, ingest, seal, learn, encode, train, promote, score; for A/B tests experiment and "
    "readout. Each is safe to run again: what is done is not done twice.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


class Kind(StrEnum):
    """What a file holds."""

    behaviors = "behaviors"
    items = "items"
    users = "users"


class Format(StrEnum):
    """How a file is written."""

    jsonl = "jsonl"
    csv = "csv"
    parquet = "parquet"
    movielens = "movielens"
    amazon = "amazon"


class CutModel(StrEnum):
    """Whose cut points count."""

    requested = "requested"
    drift = "drift"


@app.command("init-db")
def init_db(
    hash_partitions: Annotated[
        int | None, typer.Option(help="New database only: behaviour tables in so many parts by user, a power of two.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Create or upgrade the database schema; a second run does nothing."""
    from liber_tasks import scale

    url = settings().require("database_url")
    if hash_partitions is not None:
        scale.check_partitions(hash_partitions)
    applied = db.init_db(url)
    if hash_partitions is not None:
        scale.hash_partition(url, hash_partitions)
    show({"applied": applied}, as_json, f"{len(applied)} migrations applied." if applied else "Up to date.")


@app.command()
def ingest(
    paths: Annotated[list[str], typer.Argument(help="Files, folders, globs or URLs (s3://, https://).")],
    kind: Annotated[Kind, typer.Option(help="What the files hold.")] = Kind.behaviors,
    format: Annotated[Format | None, typer.Option(help="Default: by the file's ending.")] = None,
    catalog: Annotated[str | None, typer.Option(help="Domain pack: movies, books or music.")] = None,
    as_json: AsJson = False,
) -> None:
    """Append files to the behaviour stream; bad rows are quarantined with line and reason."""
    from liber_tasks.behavior.ingest import ingest as load

    if catalog is not None and catalog != settings().domain:
        raise InputError(f"--catalog is {catalog!r} but LIBER_DOMAIN is {settings().domain!r}: set one like the other.")
    report = load(db.connect(settings()), settings(), paths, kind=kind.value,
                  format=format.value if format else None, progress=line_progress())  # fmt: skip
    show(report, as_json)


@app.command()
def consume(
    url: Annotated[
        str, typer.Argument(envvar="LIBER_STREAM_URL", help="kafka://host:9092/topic or redis://host:6379/0/key.")
    ],
    kind: Annotated[Kind, typer.Option(help="What the messages are.")] = Kind.behaviors,
    batch: Annotated[int, typer.Option(min=1, help="Messages in one transaction.")] = 5000,
    until_idle: Annotated[float | None, typer.Option(min=0, help="Stop after so many seconds of silence.")] = None,
    skip_lost: Annotated[bool, typer.Option("--skip-lost", help="Go on behind messages deleted unread.")] = False,
    as_json: AsJson = False,
) -> None:
    """Store a topic's messages as they come, each exactly once; SIGTERM ends it after the batch at hand."""
    from liber_tasks.behavior.consume import consume as read
    from liber_tasks.behavior.consume import stopped_by_signals

    with stopped_by_signals() as stop:
        report = read(db.connect(settings()), settings(), url, kind=kind.value, batch=batch, until_idle=until_idle,
                      skip_lost=skip_lost, stop=stop, progress=line_progress())  # fmt: skip
    show(report, as_json)


@app.command()
def seal(
    watermark: Annotated[str, typer.Option(help="ISO 8601 with zone: the streams are complete up to here.")],
    k: Annotated[int | None, typer.Option(min=0, help="Behaviours in a full cache; 0: no bound.")] = None,
    gap: Annotated[str | None, typer.Option(help="Inactivity that ends a partition: 90s, 30m, 12h, 7d.")] = None,
    max_age: Annotated[str | None, typer.Option(help="Longest span of a partition, like --gap.")] = None,
    min_events: Annotated[int | None, typer.Option(help="Gap and age wait for so many behaviours.")] = None,
    model: Annotated[CutModel | None, typer.Option(help="Cut points that models request count too.")] = None,
    shard: Annotated[str | None, typer.Option(help="This part of the users only, such as 0/4.")] = None,
    as_json: AsJson = False,
) -> None:
    """Turn caches into immutable partitions (paper, Algorithm 1). Conditions not given come from LIBER_PARTITION_*."""
    from liber_tasks.partition.rules import rule_of
    from liber_tasks.partition.stream import seal as seal_caches
    from liber_tasks.types import Shard

    rule = rule_of(
        settings(), k=k, gap=gap, max_age=max_age, min_events=min_events, model=model.value if model else None
    )
    part = Shard.parse(shard) if shard else None
    report = seal_caches(
        db.connect(settings()), rule, moment("--watermark", watermark), shard=part, progress=line_progress()
    )
    show(report, as_json)


app.command()(cli_learn.learn)


@app.command()
def encode(
    items: Annotated[bool, typer.Option("--items", help="The catalogue instead: what is known of each item.")] = False,
    as_json: AsJson = False,
) -> None:
    """Encode new texts with BERT and the frozen PCA into pgvector (paper, Eq. 4)."""
    if items:
        show(learning.encode_items(settings(), line_progress()), as_json)
        return
    show(learning.encode(settings(), line_progress()), as_json)


app.command()(cli_train.train)
app.command()(cli_train.score)
app.command()(cli_model.promote)
app.command()(cli_model.rollback)
app.command()(evaluate)
app.command()(cli_vectors.nearest)
app.command()(explain)


app.command()(cli_readout.readout)
app.command()(cli_learn.timeline)
app.command()(cli_learn.prompt)
app.command()(cli_learn.cost)
app.command()(efficiency)
app.command()(plan)
app.add_typer(knowledge, name="knowledge")
app.add_typer(experiment, name="experiment")
app.add_typer(erasures, name="erasures")


app.command()(cli_privacy.retain)
app.command()(cli_privacy.erase)
app.command()(cli_privacy.readmit)


app.command()(cli_status.status)
app.command()(cli_status.metrics)


def main() -> None:
    """Entry point: errors a user can act on are one sentence on stderr, not a traceback."""
    sys.stdout = HarmlessStream(sys.stdout)  # type: ignore[assignment]
    try:
        logs.configure(settings().log)
        with db.database_errors(), logs.bound(run=logs.new_run()):
            app()
    except LiberError as error:
        logs.tell(harmless(str(error)))
        sys.exit(error.exit_code)
