"""What the soak runs in: a database with a past, a model that serves it, an experiment that goes on meanwhile."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import mlflow
import numpy as np
import pyarrow as pa
from pyarrow import parquet
from sqlalchemy import Engine, text

from liber_tasks import learning
from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.sources import Kind
from liber_tasks.config import Settings
from liber_tasks.experiment.define import define
from liber_tasks.experiment.definition import parse
from liber_tasks.experiment.exposure import log_exposures
from liber_tasks.fusion.options import PROFILE, check_options
from liber_tasks.interest.learn import learn
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from liber_tasks.training import registry
from liber_tasks.training.load import load
from tests.bench.database import Stream, run, say, settle, stream
from tests.bench.serving import _fitted, _loaded
from tests.partition.streams import moment

ITEMS, EVENTS_A_USER = 500, 30  # of the past
RULE = PartitionRule(20)
END = moment(4_000_000_000)
EXPERIMENT = "soak"
GENRES = ("Comedy", "Drama", "Horror", "Romance", "Thriller", "War", "Western")
OPTIONS = check_options(("pooled", PROFILE, "statistics"))


@dataclass(frozen=True)
class Events:
    """A stream whose events are ratings and plays in turn."""

    of: Stream
    past: int  # events that are there when the soak begins
    users: int

    @classmethod
    def make(cls, past: int, coming: int) -> "Events":
        """The past, and events that come."""
        users = max(past // EVENTS_A_USER, 10)
        made = stream(past + coming, users)
        return cls(Stream(made.user, made.item % ITEMS, made.seconds), past, users)

    def write(self, path: Path, start: int, stop: int) -> Path:
        """Those events as a Parquet file."""
        rows = self.of.batch(start, stop)
        number = np.arange(start, stop)
        rated = number % 2 == 0
        kind = pa.array(np.where(rated, "rating", "play").tolist())
        rating = pa.array(np.where(rated, 1 + self.of.item[start:stop] * 7 % 5, 0).astype(np.float32), mask=~rated)
        table = pa.Table.from_batches([rows])
        table = table.set_column(table.schema.get_field_index("kind"), "kind", kind).append_column("rating", rating)
        parquet.write_table(table, path)
        return path

    def time(self, number: int) -> datetime:
        """When an event happened."""
        return datetime.fromtimestamp(int(self.of.seconds[number]), UTC)


def furnish(engine: Engine, settings: Settings, events: Events, folder: Path) -> mlflow.pyfunc.PyFuncModel:
    """The past through every stage, then a model with untrained weights as a service loads it."""
    say(f"soak: {events.past:,} events of {events.users:,} users through every stage")
    items = pa.table(
        {
            "item_id": [f"item-{number:06d}" for number in range(ITEMS)],
            "title": [f"The {GENRES[number % 7]} of Number {number}" for number in range(ITEMS)],
            "genres": [[GENRES[number % 7], GENRES[number // 7 % 7]] for number in range(ITEMS)],
            "year": [1950 + number % 70 for number in range(ITEMS)],
        }
    )
    parquet.write_table(items, folder / "items.parquet")
    files: list[tuple[Kind, Path]] = [("items", folder / "items.parquet"),
                                      ("behaviors", events.write(folder / "past.parquet", 0, events.past))]  # fmt: skip
    for kind, path in files:
        ingest(engine, settings, [path], kind=kind)
    seal(engine, RULE, END)
    say("soak: learning and encoding the past")
    learn(engine, settings)
    learning.encode(settings)
    learning.encode_items(settings)
    _experiment(engine, events)
    settle(engine)
    dataset = load(engine, settings, OPTIONS)
    return _loaded(registry.save(folder / "model", _fitted(dataset, *OPTIONS), dataset), folder / "served")


def _experiment(engine: Engine, events: Events) -> None:
    """An A/B test that begins where the past ends and outlasts the soak; every user is exposed at once."""
    first = events.time(events.past - 1).date() + timedelta(days=1)
    definition = parse(
        {
            "name": EXPERIMENT, "hypothesis": "None.", "starts_at": first.isoformat(), "looks": "none",
            "ends_at": (first + timedelta(days=200)).isoformat(),
        }
    )  # fmt: skip
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    define(engine, definition, now=start - timedelta(days=1))
    with engine.begin() as connection:
        users = list(connection.execute(text("SELECT user_id FROM liber.user_profile")).scalars())
        run(connection, "ANALYZE")
    log_exposures(engine, EXPERIMENT, ((user, start) for user in users))
