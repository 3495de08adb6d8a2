"""`liber plan` as its user meets it."""

import json

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from liber_tasks.capacity.inputs import Inputs
from liber_tasks.capacity.units import count, size
from liber_tasks.cli import app
from liber_tasks.config import settings
from liber_tasks.errors import InputError
from tests.interest.data import add_user

runner = CliRunner()
CALLS = """
INSERT INTO liber.llm_call (call_key, user_key, partition_no, kind, knowledge_version, state, run_id, finished_at,
    prompt_tokens, completion_tokens)
SELECT 'c' || n, 1, n, 'summary', 'k', 'done', 'r', now(), 400 + 100 * n, 20 + n * 5 / 2
FROM generate_series(1, 3) AS n
"""


def plan(*arguments: str):
    result = runner.invoke(app, ["plan", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def refused(*arguments: str) -> str:
    error = runner.invoke(app, ["plan", *arguments]).exception
    assert isinstance(error, InputError), error
    return str(error)


def test_json_has_every_part_and_echoes_what_was_assumed():
    found = json.loads(plan("--users", "1e6", "--k", "10", "--set", "peak=3", "--json"))
    assert set(found) == {"inputs", "day", "wal_bytes", "growth", "month"}
    assert (found["inputs"]["users"], found["inputs"]["partition_k"], found["inputs"]["peak"]) == (1e6, 10, 3)
    assert found["growth"][0]["stored"]["total_bytes"] == pytest.approx(
        sum(found["growth"][0]["stored"]["bytes"].values())
    )
    assert found["month"]["total"] == pytest.approx(
        sum(found["month"][name] for name in ("gpus", "cores", "disk", "backups"))
    )


def test_the_tables_name_what_a_platform_needs():
    shown = plan("--users", "1000000")
    for word in ("partitions", "LLM calls", "GPU hours", "WAL", "behavior", "interest_nearest", "backups", "A month"):
        assert word in shown


def test_a_file_is_read_and_an_option_wins_over_it(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("users: 5\nevents_per_user: 7\n")
    found = json.loads(plan("--file", str(file), "--users", "9", "--json"))["inputs"]
    assert (found["users"], found["events_per_user"]) == (9, 7)


def test_every_assumption_says_what_it_is():
    found = json.loads(plan("--assumptions", "--json"))
    assert set(found) == set(Inputs.model_fields)
    assert all(entry["is"] for entry in found.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--users", "-1"), "--users is -1.0"),
        (("--active-share", "1.5"), "--active-share is 1.5"),
        (("--k", "0"), "--partition-k is 0"),
        (("--prompt-rate", "0"), "--prompt-rate is 0.0"),
        (("--users", "nan"), "--users is nan"),
        (("--set", "peak=0.5"), "--set: peak is '0.5'"),
        (("--set", "peek=2"), "--set: peek: there is no such assumption, did you mean peak?"),
        (("--set", "peak"), "--set is 'peak': write NAME=VALUE"),
        (("--set", "arrival=pigeons"), "--set: arrival is 'pigeons'"),
    ],
)
def test_a_bad_input_is_named(arguments, said):
    assert said in refused(*arguments)


def test_a_bad_file_is_named(tmp_path):
    file = tmp_path / "plan.yaml"
    file.write_text("users: many\n")
    assert f"{file}: users is 'many'" in refused("--file", str(file))
    assert "cannot be read" in refused("--file", str(tmp_path / "none.yaml"))


def test_measured_reads_users_pace_and_tokens_and_leaves_what_was_never_asked_as_it_is(engine, monkeypatch):
    monkeypatch.setenv("LIBER_DATABASE_URL", engine.url.render_as_string(hide_password=False))
    settings.cache_clear()
    try:
        assert "the database holds no behaviour" in refused("--measured")
        add_user(engine, "u1", 3)
        add_user(engine, "u2", 1)  # 12 behaviours of two users within a day
        with engine.begin() as connection:
            connection.execute(text("INSERT INTO liber.knowledge_version VALUES ('k', 'm', 's/1', 'c/1', '{}')"))
            connection.execute(text(CALLS))
        found = json.loads(plan("--measured", "--json"))["inputs"]
    finally:
        settings.cache_clear()
    assert (found["users"], found["active_share"], found["events_per_user"]) == (2, 1, 6)
    assert (found["summary_tokens_in"], found["summary_tokens_out"]) == (600, pytest.approx(25, abs=0.5))
    assert found["shift_tokens_in"] == Inputs().shift_tokens_in


def test_numbers_are_written_as_people_read_them():
    assert [count(value) for value in (0, 0.25, 7, 9_999, 12_345, 1.5e6, 2e9)] == [
        "0", "0.25", "7", "9,999", "12.3k", "1.5M", "2B"
    ]  # fmt: skip
    assert [size(value) for value in (0, 999, 1e3, 2.5e9, 3.46e12)] == ["0 B", "999 B", "1 kB", "2.5 GB", "3.46 TB"]
