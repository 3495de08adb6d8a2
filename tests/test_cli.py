"""The command line as its user meets it: a process, its exit status, stdout and stderr."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from liber_tasks.behavior.files.formats import FORMATS
from liber_tasks.cli import Format

LIBER = Path(sys.executable).with_name("liber")

COMMANDS = (
    "init-db",
    "ingest",
    "consume",
    "erase",
    "readmit",
    "retain",
    "prompt",
    "seal",
    "learn",
    "cost",
    "efficiency",
    "plan",
    "knowledge export",
    "knowledge import",
    "encode",
    "train",
    "promote",
    "rollback",
    "evaluate",
    "experiment define",
    "experiment list",
    "experiment show",
    "experiment power",
    "experiment assign",
    "experiment expose",
    "experiment ramp",
    "experiment stop",
    "experiment archive",
    "score",
    "nearest",
    "readout",
    "timeline",
    "status",
)


def liber(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIBER_")}
    return subprocess.run(
        [LIBER, *arguments], env={**kept, **environment}, capture_output=True, text=True, check=False, timeout=120
    )


@pytest.fixture
def journey(database_url: str, tmp_path: Path) -> dict[str, str]:
    """Environment on a fresh database and a file of 45 behaviours of one user, one of them bad."""
    rows = [
        {"event_id": f"e{n}", "user_id": "u1", "item_id": f"i{n}", "event_time": 1_700_000_000 + n, "kind": "rating",
         "rating": 1 + n % 5}
        for n in range(45)
    ]  # fmt: skip
    (tmp_path / "behaviors.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return {"LIBER_DATABASE_URL": database_url}


def test_every_format_can_be_named() -> None:
    assert [member.value for member in Format] == list(FORMATS)


def test_help_names_every_stage() -> None:
    shown = liber("--help").stdout
    for command in COMMANDS:
        assert command.split()[0] in shown


def test_every_command_has_help_and_json() -> None:
    for command in COMMANDS:
        done = liber(*command.split(), "--help", COLUMNS="200")
        assert done.returncode == 0
        assert "--json" in done.stdout


def test_ingest_seal_and_status_report_json_on_stdout(journey: dict[str, str], tmp_path: Path) -> None:
    first = liber("ingest", str(tmp_path / "behaviors.jsonl"), "--json", **journey)
    assert first.returncode == 0, first.stderr
    assert json.loads(first.stdout)["accepted"] == 45
    sealed = liber("seal", "--watermark", "2030-01-01T00:00:00Z", "--json", **journey)
    assert json.loads(sealed.stdout)["partitions"] == 2
    again = liber("seal", "--watermark", "2030-01-01T00:00:00Z", "--json", **journey)
    assert json.loads(again.stdout)["partitions"] == 0
    stages = {stage["stage"]: stage for stage in json.loads(liber("status", "--json", **journey).stdout)["stages"]}
    assert (stages["partition"]["done"], stages["partition"]["pending"]) == (40, 5)
    assert (stages["summary"]["done"], stages["summary"]["pending"]) == (0, 2)


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["ingest", "/nowhere/plays.jsonl"], 2, "/nowhere/plays.jsonl"),
        (["seal", "--watermark", "yesterday"], 2, "--watermark"),
        (["seal", "--watermark", "2026-01-01T00:00:00"], 2, "zone"),
        (["seal", "--watermark", "2026-01-01T00:00:00Z", "--k", "0"], 2, "k"),
        (["seal", "--watermark", "2026-01-01T00:00:00Z", "--gap", "soon"], 2, "gap is 'soon': write a number"),
        (["seal", "--watermark", "2026-01-01T00:00:00Z", "--min-events", "3"], 2, "give one"),
        (["seal", "--watermark", "2026-01-01T00:00:00Z", "--shard", "2/2"], 2, "from 0 to 1"),
        (["consume", "carrier-pigeon://host/topic"], 2, "kafka://"),
        (["prompt", "u1", "1"], 2, "no user"),
        (["learn", "--items", "--users", "u1"], 2, "--items asks about items"),
        (["learn", "--items", "--max-users", "1"], 2, "--items asks about items"),
        (["learn", "--max-items", "1"], 2, "--max-items goes with --items"),
        (["timeline", "nobody"], 2, "nobody"),
        (["readout", "no-such-test"], 2, "no-such-test"),
        (["experiment", "show", "no-such-test"], 2, "no-such-test"),
        (["experiment", "define", "/nowhere.yaml"], 2, "/nowhere.yaml cannot be read"),
        (["experiment", "define", "--name", "t"], 2, "hypothesis: it is missing, write it"),
        (["no-such-command"], 2, "no-such-command"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(
    journey: dict[str, str], arguments: list[str], status: int, said: str
) -> None:
    done = liber(*arguments, **journey)
    assert done.returncode == status, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_database_is_one_sentence_and_status_1() -> None:
    done = liber("status", LIBER_DATABASE_URL="postgresql://liber@127.0.0.1:1/liber")
    assert done.returncode == 1
    assert "LIBER_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unreachable_llm_server_is_one_sentence_and_loses_nothing(journey: dict[str, str], tmp_path: Path) -> None:
    liber("ingest", str(tmp_path / "behaviors.jsonl"), **journey)
    liber("seal", "--watermark", "2030-01-01T00:00:00Z", **journey)
    done = liber("learn", **journey, LIBER_LLM_URL="http://127.0.0.1:9", LIBER_LLM_PATIENCE="1")
    assert done.returncode == 1
    assert "LIBER_LLM_URL" in done.stderr
    assert "Traceback" not in done.stderr
    stages = {stage["stage"]: stage for stage in json.loads(liber("status", "--json", **journey).stdout)["stages"]}
    assert stages["summary"]["pending"] == 2


def test_a_dry_run_about_items_says_what_they_will_cost(journey: dict[str, str], tmp_path: Path) -> None:
    liber("ingest", str(tmp_path / "behaviors.jsonl"), **journey)
    done = liber("learn", "--items", "--dry-run", "--max-items", "30", "--max-calls", "20", "--json", **journey)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["items"], report["pending"], report["calls"], report["hours"]) == (30, 30, 20, None)
    assert report["completion_tokens"] == 20 * 200
    assert "-items-" in report["knowledge_version"]


def test_a_partition_closes_by_inactivity_and_says_so(journey: dict[str, str], tmp_path: Path) -> None:
    liber("ingest", str(tmp_path / "behaviors.jsonl"), **journey)
    sealed = liber("seal", "--watermark", "2030-01-01T00:00:00Z", "--k", "30", "--gap", "90s", "--json", **journey)
    assert json.loads(sealed.stdout)["reasons"] == {"count": 1, "gap": 1}


def test_an_erased_user_is_refused_until_readmitted(journey: dict[str, str], tmp_path: Path) -> None:
    file = tmp_path / "behaviors.jsonl"
    liber("ingest", str(file), **journey)
    erased = json.loads(liber("erase", "u1", "--json", **journey).stdout)
    assert erased["removed"]["behavior"] > 40
    assert erased["models"]["checked"] is False
    file.write_text(file.read_text().replace('"event_id": "e', '"event_id": "again-'))
    assert json.loads(liber("ingest", str(file), "--json", **journey).stdout)["reasons"]["user was erased"] > 40
    assert liber("readmit", "u1", **journey).returncode == 0
    file.write_text(file.read_text().replace('"again-', '"late-'))
    assert json.loads(liber("ingest", str(file), "--json", **journey).stdout)["accepted"] > 40
