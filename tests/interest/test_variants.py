"""Variants of the paper's ablation: what each shows and asks, and that a change of one costs only what it changes."""

import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.interest import prompts
from liber_tasks.interest.learn import LearnReport, learn
from liber_tasks.interest.prompts import PromptTemplate
from liber_tasks.interest.reproduce import reproduce
from tests.behavior.files import write_jsonl
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, Seen, faulty

FILMS = [f"Film {number}" for number in range(1, 131)]


def at(settings: Settings, server: Seen, **changes: Any) -> Settings:
    """Settings for a server."""
    return settings.model_copy(update={"llm_url": server.url, "llm_in_flight": 4} | changes)


def texts_of(engine: Engine, version: str) -> list[tuple[str, int, str, str]]:
    """(user_id, partition_no, kind, text) of a version."""
    statement = (
        "SELECT user_id, partition_no, kind::text, text FROM liber.interest JOIN liber.user_profile USING (user_key)"
        " WHERE knowledge_version = :v ORDER BY 1, 2, 3"
    )
    return [tuple(row) for row in rows(engine, statement, v=version)]


def kinds_of(engine: Engine, version: str) -> list[tuple[str, int, str]]:
    return [(user_id, number, kind) for user_id, number, kind, _ in texts_of(engine, version)]


def other_prompt(monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """Install another template of a kind."""
    kept = prompts.template
    new = PromptTemplate(kind, kept(kind).text + " Be brief.")  # type: ignore[arg-type]
    monkeypatch.setattr(prompts, "template", lambda name: new if name == kind else kept(name))


def test_full_asks_summaries_and_shifts_and_no_shift_is_complete_without(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    with faulty(lambda *_: GOOD) as seen:
        none = learn(engine, at(settings, seen, learn_variant="no_shift"))
        assert not any("Earlier: " in prompt for prompt in seen.prompts)
        again = learn(engine, at(settings, seen, learn_variant="no_shift"))
    assert (none.calls, none.summaries, none.shifts) == (3, 3, 0)
    assert (none.pending_summaries, none.pending_shifts, none.stopped_by, again.calls) == (0, 0, None, 0)
    assert kinds_of(engine, none.knowledge_version) == [("a", number, "summary") for number in (1, 2, 3)]


@pytest.mark.parametrize("style", ["titles", "grounded"])
def test_without_partitioning_a_prompt_shows_the_newest_behaviours_up_to_its_partitions_end(
    engine: Engine, settings: Settings, style: str
) -> None:
    user_key = add_user(engine, "a", 13, size=10, titles=FILMS)
    with engine.begin() as connection:  # not sealed yet: later than every partition
        connection.execute(
            text(
                "INSERT INTO liber.behavior (user_key, seq, item_key, event_time, effective_time, rating, kind,"
                " event_id) SELECT user_key, 131, item_key, event_time, effective_time, rating, kind, 'late'"
                " FROM liber.behavior WHERE user_key = :u AND seq = 1"
            ),
            {"u": user_key},
        )
    for length in (20, 100, 500, 1):
        with faulty(lambda *_: GOOD) as seen:
            changes = {"learn_variant": "no_partition", "learn_length": length, "history_style": style}
            report = learn(engine, at(settings, seen, **changes))
        assert (report.calls, report.shifts, report.pending_shifts) == (13, 0, 0)
        shown = sorted(sorted(_films(prompt)) for prompt in seen.prompts)
        assert shown == sorted(list(range(max(1, end - length + 1), end + 1)) for end in range(10, 131, 10))
        if style == "titles":  # in the order of time
            assert all(_films(prompt) == sorted(_films(prompt)) for prompt in seen.prompts)
        for number in (1, 7, 13):
            found = reproduce(engine, "a", number, "summary", knowledge_version=report.knowledge_version)
            assert found.prompt in seen.prompts
            assert max(_films(found.prompt)) == 10 * number


def _films(prompt: str) -> list[int]:
    """Numbers of the films in the history, in its order."""
    history = re.split("\nMean|\nLiked|\nDisliked|\nFavourites|\nIn one", prompt.split("\nUser: ")[1])[0]
    return [int(number) for number in re.findall(r'"Film (\d+)"', history)]


def test_texts_of_variants_lie_beside_each_other(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    variants: Sequence[dict[str, Any]] = (
        {}, {"learn_variant": "no_shift"}, {"learn_variant": "no_partition", "learn_length": 20},
        {"learn_variant": "no_partition", "learn_length": 100}, {"history_style": "titles"},
    )  # fmt: skip
    with faulty(lambda *_: GOOD) as seen:
        reports = [learn(engine, at(settings, seen, **changes)) for changes in variants]
        again = [learn(engine, at(settings, seen, **changes)) for changes in variants]
    assert [report.calls for report in reports] == [5, 0, 3, 3, 5]
    assert [report.calls for report in again] == [0] * 5
    versions = [report.knowledge_version for report in reports]
    assert len(set(versions)) == 5
    assert [len(texts_of(engine, version)) for version in versions] == [5, 3, 3, 3, 5]


def assert_adopted(engine: Engine, report: LearnReport, origin: LearnReport, summaries: int) -> None:
    """The summaries are the origin's, word for word, and no call was made for them."""
    mine, theirs = (
        [row for row in texts_of(engine, each.knowledge_version) if row[2] == "summary"] for each in (report, origin)
    )
    assert mine == theirs
    assert (report.adopted, report.summaries, len(mine)) == (summaries, 0, summaries)
    made = "SELECT count(*) FROM liber.llm_call WHERE kind = 'summary' AND knowledge_version = :v"
    assert rows(engine, made, v=report.knowledge_version) == [(0,)]


def test_switching_between_full_and_no_shift_asks_no_summary_again(engine: Engine, settings: Settings) -> None:
    for user_id in ("a", "b"):
        add_user(engine, user_id, 3)
    with faulty(lambda *_: GOOD) as seen:
        part = learn(engine, at(settings, seen, learn_variant="no_shift"), users=["a"])
        full = learn(engine, at(settings, seen), users=["a"])
        assert_adopted(engine, full, part, 3)
        assert (full.calls, full.shifts, full.pending_shifts) == (2, 2, 0)
        learn(engine, at(settings, seen))  # b too
        back = learn(engine, at(settings, seen, learn_variant="no_shift"))
        assert (back.calls, back.adopted) == (0, 3)  # b's; a's were there
        assert learn(engine, at(settings, seen, learn_variant="no_shift")).adopted == 0
    assert sum(seen.prompts.values()) == len(seen.prompts) == 10


@pytest.mark.parametrize("changed", ["template", "bound"])
def test_another_shift_prompt_asks_shifts_only(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    add_user(engine, "a", 3)
    with faulty(lambda *_: GOOD) as seen:
        first = learn(engine, at(settings, seen))
        changes: dict[str, Any] = {"shift_max_tokens": 9} if changed == "bound" else {}
        if changed == "template":
            other_prompt(monkeypatch, "shift")
        second = learn(engine, at(settings, seen, **changes))
    assert second.knowledge_version != first.knowledge_version
    assert_adopted(engine, second, first, 3)
    assert (second.calls, second.shifts) == (2, 2)


@pytest.mark.parametrize(
    "changes",
    [{"llm_model": "org/Other-7B"}, {"domain": "books"}, {"summary_max_tokens": 9}, {"history_style": "titles"},
     {"llm_guided": False}, {"learn_variant": "no_partition"}, {"summary": "other"}],
    ids=lambda changes: next(iter(changes)),
)  # fmt: skip
def test_what_shapes_a_summary_adopts_none(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    add_user(engine, "a", 2)
    with faulty(lambda *_: GOOD) as seen:
        learn(engine, at(settings, seen))
        if "summary" in changes:
            other_prompt(monkeypatch, "summary")
            changes = {}
        report = learn(engine, at(settings, seen, **changes))
    assert (report.adopted, report.summaries) == (0, 2)


def test_an_adopted_text_is_reproduced_though_a_profile_changed_in_between(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    add_user(engine, "a", 2)
    numbers = itertools.count()

    def retitle(title: str) -> None:
        file = write_jsonl(tmp_path / f"{next(numbers)}.jsonl", [{"item_id": "Fargo", "title": title}])
        ingest(engine, settings, [file], kind="items")

    with faulty(lambda *_: GOOD) as seen:
        learn(engine, at(settings, seen, learn_variant="no_shift"))
        retitle("Fargo (1996)")
        full = learn(engine, at(settings, seen))
        retitle("Fargo again")
    assert full.adopted == 2
    for number, kind in ((1, "summary"), (2, "summary"), (2, "shift")):
        found = reproduce(engine, "a", number, kind, knowledge_version=full.knowledge_version)  # type: ignore[arg-type]
        assert found.prompt in seen.prompts


def test_only_what_the_origin_has_is_adopted_and_the_rest_is_asked(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 4)
    with faulty(lambda *_: GOOD) as seen:
        learn(engine, at(settings, seen, learn_variant="no_shift"), max_calls=2)
        full = learn(engine, at(settings, seen))
    assert (full.adopted, full.summaries, full.shifts) == (2, 2, 3)


def test_a_version_made_elsewhere_without_an_origin_is_not_adopted(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 2)
    with faulty(lambda *_: GOOD) as seen:
        first = learn(engine, at(settings, seen, learn_variant="no_shift"))
        with engine.begin() as connection:
            connection.execute(
                text("UPDATE liber.knowledge_version SET parameters = CAST(:p AS jsonb) WHERE knowledge_version = :v"),
                {"v": first.knowledge_version, "p": json.dumps({"temperature": 0})},
            )
        assert learn(engine, at(settings, seen)).adopted == 0
