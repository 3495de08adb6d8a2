"""The timeline: evidence for each text, whatever was written into it."""

import json

import pytest
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from liber_tasks import cli_knowledge
from liber_tasks.cli_knowledge import knowledge, show_timeline
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.interest.timeline import TimelineTotals, timeline, totals
from tests.interest.data import add_user

TEXTS = """
INSERT INTO liber.knowledge_version
(knowledge_version, model, summary_prompt, shift_prompt, parameters, registered, created_at) VALUES
('old', 'm1', 'summary/1', 'shift/1', '{"variant": "no_shift"}', '{}', now() - interval '1 day'),
('new', 'm2', 'summary/2', 'shift/2', '{"variant": "full"}', '{"summary": "prompts:/liber-summary/3"}', now());
INSERT INTO liber.interest (user_key, partition_no, kind, knowledge_version, text, input_sha256, prompt_tokens,
completion_tokens, latency_seconds, finish_reason, left_out) VALUES
(1, 1, 'summary', 'old', 'old one', '', 10, 1, 1, 'stop', 0),
(1, 2, 'summary', 'old', 'old two', '', 10, 1, 1, 'stop', 0),
(1, 3, 'summary', 'old', 'old three', '', NULL, NULL, 1, NULL, 0),
(1, 1, 'summary', 'new', E'[bold]likes[/bold]\n:smile: \\x1b[31mred', '', 1200, 30, 1, 'length', 4),
(1, 2, 'summary', 'new', 'new two', '', 200, 20, 1, 'stop', 0),
(1, 2, 'shift', 'new', 'a to b', '', 100, 9, 1, 'stop', 0);
INSERT INTO liber.llm_call
(call_key, user_key, partition_no, kind, knowledge_version, state, attempts, run_id) VALUES
('a', 1, 1, 'summary', 'new', 'done', 3, ''), ('b', 1, 2, 'shift', 'new', 'done', 1, ''),
('c', 1, 1, 'summary', 'old', 'done', 9, '');
"""


@pytest.fixture
def learnt(engine: Engine) -> Engine:
    """User a: four partitions, three learnt with an old version, two with a new one."""
    add_user(engine, "a", 4)
    with engine.begin() as connection:
        connection.connection.cursor().execute(TEXTS)
    return engine


def test_each_partition_shows_its_newest_version_with_origin_and_cost(learnt: Engine) -> None:
    first, second, third, fourth = timeline(learnt, "a")
    assert [each.knowledge_version for each in (first, second, third, fourth)] == ["new", "new", "old", None]
    assert (first.model, first.prompt_version) == ("m2", "summary/2 + shift/2")
    assert (first.summary_prompt, first.shift_prompt) == ("prompts:/liber-summary/3", "shift/2")
    assert (first.prompt_tokens, first.completion_tokens, first.calls, first.left_out) == (1200, 30, 3, 4)
    assert (first.summary_finish, second.shift, second.shift_finish) == ("length", "a to b", "stop")
    assert (second.prompt_tokens, second.completion_tokens, second.calls) == (300, 29, 1)
    assert (third.with_shift, third.shift, third.prompt_tokens) == (False, None, 0)
    assert (fourth.summary, fourth.model, fourth.summary_prompt, fourth.calls) == (None, None, None, 0)
    assert totals((first, second, third, fourth)) == TimelineTotals(4, 1500, 59, 4)


def test_one_version_can_be_chosen(learnt: Engine) -> None:
    assert [each.summary for each in timeline(learnt, "a", knowledge_version="old")] == [
        "old one", "old two", "old three", None]  # fmt: skip
    new = timeline(learnt, "a", knowledge_version="new")
    assert [each.shift for each in new] == [None, "a to b", None, None]
    with pytest.raises(InputError, match="no text of knowledge version 'x': there are texts of new, old"):
        timeline(learnt, "a", knowledge_version="x")


def test_a_user_without_texts_says_so(engine: Engine) -> None:
    add_user(engine, "b", 1)
    assert timeline(engine, "b")[0].summary is None
    with pytest.raises(InputError, match="nothing is learnt yet"):
        timeline(engine, "b", knowledge_version="x")


def test_the_terminal_gets_plain_text_and_totals(learnt: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    show_timeline(timeline(learnt, "a"), "a")
    shown = capsys.readouterr().out
    assert "[bold]likes[/bold] :smile: \N{REPLACEMENT CHARACTER}[31mred [cut at the token limit]" in shown
    assert "\x1b" not in shown
    assert "m2, prompts:/liber-summary/3, shift/2" in shown
    assert "1,200 in, 30 out; the 4 oldest behaviours left out" in shown
    assert shown.splitlines()[-1] == "4 texts, 1,500 tokens in, 59 out, 4 calls"
    assert shown.count("not learnt yet") == 2  # of the fourth; the third's version has no shifts


def test_json_carries_all_of_it(learnt: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    show_timeline(timeline(learnt, "a"), "a", as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert shown["totals"] == {"texts": 4, "prompt_tokens": 1500, "completion_tokens": 59, "calls": 4}
    assert shown["user_id"] == "a"
    assert [part["left_out"] for part in shown["partitions"]] == [4, 0, 0, 0]
    assert shown["partitions"][0]["items"][0]["title"] == "Blade Runner"


def test_knowledge_commands_report_json_and_lines(
    learnt: Engine, settings: Settings, tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with learnt.begin() as connection:
        connection.execute(text("UPDATE liber.interest SET input_sha256 = repeat('0', 64)"))
    monkeypatch.setattr(cli_knowledge, "settings", lambda: settings)
    path = str(tmp_path / "k.jsonl.gz")
    done = CliRunner().invoke(knowledge, ["export", path, "--knowledge-version", "old", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) | {"sha256": ""} == {
        "texts": 3, "users": 1, "knowledge_version": "old", "sha256": "", "path": path}  # fmt: skip
    with learnt.begin() as connection:
        connection.execute(text("DELETE FROM liber.interest WHERE knowledge_version = 'old' AND partition_no > 1"))
        connection.execute(text("UPDATE liber.behavior SET event_id = 'x' WHERE seq = 7"))
    done = CliRunner().invoke(knowledge, ["import", path])
    assert isinstance(done.exception, InputError)
    assert "partition 3 of user 'a': other content" in str(done.exception)
    done = CliRunner().invoke(knowledge, ["import", path, "--skip-bad", "--json"])
    report = json.loads(done.stdout)
    assert (report["imported"], report["already_there"], report["other_content"]) == (1, 1, 1)
    assert report["bad"] == [
        {"line": 4, "reason": "other content", "item_id": None, "user_id": "a", "partition_no": 3, "kind": "summary",
         "detail": None}
    ]  # fmt: skip
