"""The journey that is disturbed: files -> partitions -> texts -> vectors, through a real Airflow with a lasting LLM."""

import hashlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from liber_tasks.local.airflow_api import FINISHED, DagRun
from tests.drills.content import Content, content, empty
from tests.e2e.learning import World
from tests.interest.faults import Reply, completion

USERS, PARTITIONS, K = 6, 2, 3
CALLS = USERS * (2 * PARTITIONS - 1)  # each summary, each shift but the first
SECONDS = 900  # nothing that is waited for takes as long
INGEST, LEARN = "ingest_behaviors", "learn_interests"


def files(folder: Path) -> dict[str, object]:
    """Input of `ingest_behaviors`."""
    start, items = datetime(2024, 1, 1, tzinfo=UTC), [f"i{n}" for n in range(6)]
    tables = {
        "users": [{"user_id": f"u{n}", "age": 20 + n} for n in range(USERS)],
        "items": [{"item_id": item, "title": f"Title {item}", "year": 1990} for item in items],
        "behaviors": [
            {"event_id": f"{user}-{n}", "user_id": f"u{user}", "item_id": items[(user + n) % len(items)],
             "event_time": (start + timedelta(hours=n)).isoformat(), "kind": "rating", "rating": 1 + (user + n) % 5}
            for n in range(PARTITIONS * K + 1)
            for user in range(USERS)
        ],
    }  # fmt: skip
    for name, rows in tables.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {name: [str(folder / f"{name}.jsonl")] for name in tables} | {"k": K}


def same(_: int, prompt: str) -> Reply:
    """The same prompt is answered by the same words."""
    return Reply(body=completion(f"likes {hashlib.sha256(prompt.encode()).hexdigest()[:12]}"))


@dataclass
class Holding:
    """An LLM that answers some calls and holds the rest until it is let go."""

    first: int  # calls before
    let: int  # calls it answers
    go_on: threading.Event

    def __call__(self, number: int, prompt: str) -> Reply:
        held = None if number < self.first + self.let else self.go_on
        return Reply(body=same(number, prompt).body, held=held)


@dataclass(frozen=True)
class Done:
    """What a journey has left."""

    content: Content
    asked: Counter[str]  # prompts
    tries: dict[str, list[int]]  # of each task's instances, by "DAG.task"


class Journey:
    """One journey on an emptied database, a step at a time."""

    def __init__(self, world: World, conf: dict[str, object]) -> None:
        empty(world.engine)
        self.world, self.runs = world, dict[str, str]()
        self._begun = datetime.now(UTC)
        self._asked = Counter(world.llm.seen.prompts)
        self.runs[INGEST] = world.api.trigger(INGEST, dict(conf))

    def at(self, dag_id: str, task: str) -> None:
        """Wait until a task has begun."""
        begun = ("running", *FINISHED, "up_for_retry")
        until(lambda: self._state(dag_id).tasks.get(task) in begun)

    def finish(self) -> Done:
        """Wait for the end of both runs; they have succeeded."""
        tries = {}
        for dag_id in (INGEST, LEARN):
            until(lambda dag_id=dag_id: self._state(dag_id).state in FINISHED)
            run = self._state(dag_id)
            assert run.state == "success", self.world.api.failure(run)
            for task in run.tasks:
                numbers = [each["try_number"] for each in self.world.api.instances(run, task)]
                tries[f"{dag_id}.{task}"] = numbers
        asked = Counter(self.world.llm.seen.prompts) - self._asked
        return Done(content(self.world.engine), asked, tries)

    def _state(self, dag_id: str) -> DagRun:
        """A run as Airflow knows it; nothing yet, where it does not or cannot say."""
        if dag_id not in self.runs:
            found = self.world.api.runs_since(dag_id, self._begun)
            if not found:
                return DagRun(dag_id, "", "none", {})
            self.runs[dag_id] = found[0]
        return self.world.api.run(dag_id, self.runs[dag_id])


def until(holds: Callable[[], bool]) -> None:
    """Wait for other processes, which may be away meanwhile."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            if holds():
                return
        except Exception as error:  # whatever a service says that is just being started again
            last: object = error
        else:
            last = "not yet"
        assert time.monotonic() < deadline, last
        time.sleep(0.2)
