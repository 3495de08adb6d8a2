"""What Airflow adds to a warm chain: the journey's DAGs on a local stack, against the same functions in one process.

Every round brings one new user with a partition: files -> partitions -> interests -> vectors -> model -> approval, and
the readout of a finished experiment. Rounds of both kinds take turns on the same data, whose growth is small.
"""

import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from typing import Any

from liber_tasks import db, learning, training_jobs
from liber_tasks.behavior.ingest import ingest
from liber_tasks.behavior.movielens import obtain
from liber_tasks.config import Settings
from liber_tasks.experiment import daily
from liber_tasks.local import stack as local_stack
from liber_tasks.local.airflow_api import WAITING, AirflowApi
from liber_tasks.local.demo import EXPERIMENT, journey, stack_settings
from liber_tasks.local.environment import SERVICES, Stack
from liber_tasks.partition.rules import rule_of
from liber_tasks.partition.stream import seal
from liber_tasks.serving import promotion
from liber_tasks.training import tracking
from liber_tasks.types import silent
from tests.bench.database import say
from tests.conftest import free_port

USERS, BEHAVIORS, NEW = 8, 60, 20  # users at first, behaviours of each, behaviours of a new user
WAIT = 600  # seconds an asset event may take to start a run
BAR_S, BAR_S_PER_TASK = 15, 0.6
CHAIN = ("learn_interests", "train_ctr", "promote_ctr")  # each started by the asset event of the one before


def measure(size: int = 3) -> tuple[dict[str, float], dict[str, Any]]:
    """Airflow's overhead over `size` rounds of both kinds, medians. Some minutes."""
    with _stack() as (stack, folder):
        settings, api = stack_settings(stack), AirflowApi.of(stack)
        files = _files(folder, 2 + 2 * size)
        say("the first journey")
        journey(api, settings, files[0])
        in_process(settings, files[1])  # imports
        airflow, process, tasks = [], [], []
        for number in range(size):
            say(f"round {number + 1} of {size}")
            seconds, ran = through_airflow(api, files[2 + 2 * number])
            airflow.append(seconds)
            tasks.append(ran)
            begun = time.monotonic()
            in_process(settings, files[3 + 2 * number])
            process.append(time.monotonic() - begun)
    overhead, count = statistics.median(airflow) - statistics.median(process), statistics.median(tasks)
    ratios = {"airflow_overhead_s": round(overhead, 2), "overhead_s_per_task": round(overhead / count, 2)}
    figures = {
        "tasks": count, "airflow_s": [round(each, 2) for each in airflow],
        "in_process_s": [round(each, 2) for each in process], "bar_s": BAR_S + BAR_S_PER_TASK * count,
        "load_1m": round(os.getloadavg()[0], 1),
    }  # fmt: skip
    return ratios, figures


def through_airflow(api: AirflowApi, files: dict[str, list[str]]) -> tuple[float, int]:
    """Wall seconds of a round through the DAGs, and how many tasks ran."""
    begun, since = time.monotonic(), datetime.now(UTC)
    ran = _followed(api, "ingest_behaviors", api.trigger("ingest_behaviors", dict(files)))
    for dag_id in CHAIN:
        while not (runs := api.runs_since(dag_id, since)):
            if time.monotonic() - begun > WAIT:
                raise RuntimeError(f"Nothing started {dag_id}.")
            time.sleep(0.05)
        ran += _followed(api, dag_id, runs[0])
    ran += _followed(api, "ab_readout", api.trigger("ab_readout", {"experiment": EXPERIMENT}))
    return time.monotonic() - begun, ran


def in_process(settings: Settings, files: dict[str, list[str]]) -> None:
    """The same functions as the DAGs' tasks call, one after another."""
    engine = db.connect(settings)
    ingest(engine, settings, files["behaviors"], kind="behaviors")
    seal(engine, rule_of(settings), datetime.now(UTC))
    _, shards = learning.plan(settings)
    for shard in shards:
        learning.learn_shard(settings, shard, f"bench/{datetime.now(UTC).isoformat()}")
    learning.encode(settings)
    training_jobs.encode_items(settings)
    training_jobs.train(settings, changes=training_jobs.choose(settings, {}, []))
    client = tracking.connect(settings)
    if found := promotion.compare(client, settings):
        promotion.promote(client, settings, found.version, instead_of=found.champion)
    for name in daily.due(settings, {"simulate": False, "experiment": EXPERIMENT}, None, silent):
        day = daily.read(settings, name, None, silent)
        daily.alarms_of(settings, day)
        daily.finish(settings, day, silent)


def _followed(api: AirflowApi, dag_id: str, run_id: str) -> int:
    """Tasks of a run that has succeeded; its question is answered with yes."""
    for run in api.follow(dag_id, run_id, every=0.1):
        if run.tasks.get("approve") == WAITING:
            api.answer(dag_id, run_id, "approve", "Approve")
    if run.state != "success":
        raise RuntimeError(f"{dag_id} failed in {api.failure(run)}")
    return sum(state == "success" for state in run.tasks.values())


@contextmanager
def _stack() -> Iterator[tuple[Stack, Path]]:
    with tempfile.TemporaryDirectory(prefix="liber-bench-") as name:
        folder = Path(name)
        ports = {f"port_{service}": free_port() for service in SERVICES}
        settings = Settings(
            _env_file=None, **ports, seeds=1, learn_max_users=1000, learn_max_items=0, encoder_dimension=8
        )  # type: ignore[call-arg]
        stack = Stack(folder / "var", settings)
        local_stack.up(stack, lambda done, total, label: say(label))
        try:
            yield stack, folder
        finally:
            local_stack.down(stack)


def _files(folder: Path, count: int) -> list[dict[str, list[str]]]:
    """Files of the first journey, then of one new user each, out of MovieLens-100K."""
    data = obtain(Settings(_env_file=None), folder / "data")  # type: ignore[call-arg]
    rows = sorted(
        (json.loads(line) for line in data.behaviors.open()), key=lambda row: (int(row["user_id"]), row["event_time"])
    )
    users = [list(mine) for _, mine in groupby(rows, key=lambda row: row["user_id"])]
    first = [row for mine in users[:USERS] for row in mine[:BEHAVIORS]]
    later = [mine[:NEW] for mine in users[USERS : USERS + count - 1]]
    made = []
    for number, chosen in enumerate([first, *later]):
        file = folder / f"{number}.jsonl"
        file.write_text("".join(f"{json.dumps(row)}\n" for row in chosen))
        made.append({"behaviors": [str(file)]})
    made[0] |= {"items": [str(data.items)], "users": [str(data.users)]}
    return made
