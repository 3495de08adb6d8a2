"""LLM calls that MovieLens-100K costs at K=20, against one call a sample (paper, Table 6)."""

import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from liber_tasks import db
from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import obtain
from liber_tasks.config import Settings
from liber_tasks.interest.learn import learn
from liber_tasks.local import postgres
from liber_tasks.partition.rules import PartitionRule
from liber_tasks.partition.stream import seal
from tests.conftest import free_port


def measure() -> tuple[dict[str, float], dict[str, float]]:
    """Ratios and the counts behind them, from a plan of the whole backlog; nothing is asked."""
    settings = Settings(_env_file=None)
    with tempfile.TemporaryDirectory() as folder:
        data = obtain(settings, Path(folder) / "data")
        cluster = postgres.Cluster(Path(folder) / "pg", free_port(), secrets.token_urlsafe(12), ("fsync=off",))
        cluster.prepare()
        server = cluster.spawn()
        try:
            cluster.ensure({}, {"bench": "postgres"})
            db.init_db(cluster.url("bench"))
            engine = db.engine(cluster.url("bench"))
            for kind, path in (("items", data.items), ("users", data.users), ("behaviors", data.behaviors)):
                print(f"ingesting {kind}", file=sys.stderr)
                samples = ingest(engine, settings, [path], kind=kind).accepted  # the last kind counts
            partitions = seal(engine, PartitionRule(20), datetime.now(UTC)).partitions
            print("planning every call", file=sys.stderr)
            plan = learn(engine, settings, dry_run=True)
        finally:
            postgres.stop(server)
    users = 943  # checked by `obtain`
    ratios = {"calls_per_user": plan.calls / users, "one_per_sample_over_ours": samples / plan.calls}
    figures = {"samples": samples, "users": users, "partitions": partitions, "calls": plan.calls}
    return ratios, figures
