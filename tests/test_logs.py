"""Log lines: one JSON object each, with run, shard and partitions, and nothing a person could be known by."""

import json
import logging
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from liber_tasks import learning, logs
from liber_tasks.config import Settings
from tests.behavior.files import behavior, write_jsonl
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, Reply, completion, faulty

LIBER = Path(sys.executable).with_name("liber")
TEXT = "Likes quiet films."


def liber(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIBER_")}
    return subprocess.run([LIBER, *arguments], env=kept | {"LIBER_LOG": "json"} | environment, capture_output=True,
                          text=True, check=False, timeout=300)  # fmt: skip


def lines(written: str) -> list[dict[str, Any]]:
    """Every line, parsed; each says when, how grave, who and what."""
    found = [json.loads(line) for line in written.splitlines()]
    for line in found:
        assert list(line)[:4] == ["timestamp", "level", "logger", "event"]
    return found


def test_a_learning_run_s_lines_carry_run_version_and_partition_and_no_user(engine: Engine, database_url: str) -> None:
    key = add_user(engine, "person-77", 2, titles=("Heat", "Poison", "Alien"))

    def answer(number: int, prompt: str) -> Reply:
        return Reply(422, '{"error": "person-77 is refused"}') if number == 0 else Reply(body=completion(TEXT))

    with faulty(answer) as llm:
        done = liber("learn", LIBER_DATABASE_URL=database_url, LIBER_LLM_URL=llm.url, LIBER_LLM_TOKEN="a-secret",
                     LIBER_LLM_IN_FLIGHT="1")  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = lines(done.stderr)
    (run,) = {row.run_id for row in rows(engine, "SELECT DISTINCT run_id FROM liber.llm_call")}
    stage = [line for line in found if line.get("stage") == "learn"]
    assert {line["run"] for line in stage} == {run}
    assert {line["knowledge_version"] for line in stage} == {
        row.knowledge_version for row in rows(engine, "SELECT knowledge_version FROM liber.knowledge_version")
    }
    assert stage[0]["event"] == "begins"
    assert stage[-1]["event"].startswith("done in")
    (lost,) = [line for line in stage if line["level"] == "warning"]
    assert (lost["event"], lost["user_key"], lost["kind"]) == ("call quarantined: HTTP 422", key, "summary")
    assert lost["partition_no"] in (1, 2)
    for private in ("person-77", "a-secret", TEXT, database_url):
        assert private not in done.stderr


def test_a_shard_s_lines_name_it_and_its_range_of_users(database_url: str, tmp_path: Path) -> None:
    where = {"LIBER_DATABASE_URL": database_url}
    file = write_jsonl(tmp_path / "e.jsonl", [behavior(n, user_id=f"u{n % 4}") for n in range(80)])
    loaded = liber("ingest", str(file), **where)
    assert loaded.returncode == 0, loaded.stderr
    assert any(line.get("file_id") == 1 and "80 accepted" in line["event"] for line in lines(loaded.stderr))
    done = liber("seal", "--watermark", "2030-01-01T00:00:00Z", "--shard", "1/2", **where)
    assert done.returncode == 0, done.stderr
    (sealed,) = [line for line in lines(done.stderr) if "first_user_key" in line]
    assert (sealed["stage"], sealed["shard"], sealed["event"]) == ("seal", "1/2", "2 users")
    assert (sealed["first_user_key"], sealed["last_user_key"]) == (1, 3)


def test_a_task_s_shard_is_bound_for_all_it_starts(
    engine: Engine, settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    add_user(engine, "a", 1)
    before = logging.getLogger().handlers[:]
    try:
        logs.configure("json")
        with faulty(lambda *_: GOOD) as llm, logs.bound(task="learn"):
            learning.learn_shard(settings.model_copy(update={"llm_url": llm.url}), "0/1", "dag/run")
    finally:
        logging.getLogger().handlers[:] = before
    found = [line for line in lines(capsys.readouterr().err) if line.get("stage") == "learn"]
    assert {(line["run"], line["shard"], line["task"]) for line in found} == {("dag/run#0/1", "0/1", "learn")}
    assert len(found) == 2


def test_an_error_is_a_line_too_and_in_text_a_sentence() -> None:
    away = "postgresql://liber:hidden@127.0.0.1:1/liber"
    (line,) = lines(liber("status", LIBER_DATABASE_URL=away).stderr)
    assert line["level"] == "error"
    assert "LIBER_DATABASE_URL" in line["event"]
    assert "hidden" not in json.dumps(line)
    assert liber("status", LIBER_DATABASE_URL=away, LIBER_LOG="text").stderr.startswith("liber: PostgreSQL cannot")


def test_a_setting_that_is_none_is_one_sentence() -> None:
    done = liber("status", LIBER_LOG="yaml")
    assert done.returncode == 2
    assert done.stderr.startswith("liber: LIBER_LOG is 'yaml'")


def test_airflow_s_own_task_log_carries_what_is_bound() -> None:
    task = """
import sys
from airflow.sdk.log import configure_logging
configure_logging(output=sys.stdout.buffer, json_output=True, sending_to_supervisor=True)
from liber_tasks import logs
with logs.bound(run="dag/run", task="learn"), logs.stage("learn", shard="0/4"):
    pass
"""
    done = subprocess.run([sys.executable, "-c", task], capture_output=True, text=True, check=True, timeout=300)
    found = [line for line in map(json.loads, done.stdout.splitlines()) if line.get("logger") == "liber.stage"]
    assert [(line["run"], line["task"], line["shard"]) for line in found] == [("dag/run", "learn", "0/4")] * 2
