"""The definition: what its author may write, and what each mistake is called."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from liber_tasks.config import ROOT
from liber_tasks.errors import InputError
from liber_tasks.experiment.assign import Assignment
from liber_tasks.experiment.definition import Definition, parse, read_file
from liber_tasks.experiment.plan import Plan

LEAST: dict[str, Any] = {
    "name": "ranking",
    "hypothesis": "More plays.",
    "starts_at": "2026-03-02",
    "ends_at": date(2026, 3, 16),
}


def test_four_fields_are_enough() -> None:
    read = parse(LEAST)
    assert read.assignment == Assignment("ranking", 0.5, 0.5)
    assert (read.starts_at, read.ends_at) == (datetime(2026, 3, 2, tzinfo=UTC), datetime(2026, 3, 16, tzinfo=UTC))
    assert [(metric.name, metric.role, metric.decides) for metric in read.metrics] == [
        ("play_count", "primary", "cuped"),
        ("play_time", "primary", "cuped"),
        ("time_per_play", "secondary", "cuped"),
        ("active_days", "secondary", "cuped"),
    ]
    assert (read.looks, read.minimum_detectable_effect, read.bots.plays_per_day) == ("daily", 0.02, 1000)


def test_an_experiment_without_a_definition_is_read_by_the_defaults() -> None:
    assert Plan.model_validate({}) == parse(LEAST).plan


def test_a_definition_comes_back_from_json_as_it_was() -> None:
    read = parse(
        {
            **LEAST,
            "layer": "home",
            "slot": [0, 5000],
            "looks": ["2026-03-05", date(2026, 3, 9)],
            "metrics": [
                {"name": "play_count", "role": "primary", "decides": "capped_cuped"},
                {"name": "play_time", "role": "guardrail", "better": "higher"},
                {"name": "skips", "unit": "skips", "sql": "SELECT ... ;", "better": "lower"},
            ],
        }
    )
    assert Definition.model_validate_json(read.model_dump_json()) == read
    assert Plan.model_validate_json(read.plan.model_dump_json()) == read.plan
    assert [metric.margin for metric in read.metrics] == [None, 0.01, None]
    assert read.metrics[2].sql == "SELECT ..."


def test_moments_are_utc_whatever_their_zone() -> None:
    assert parse({**LEAST, "starts_at": "2026-03-02T01:00:00+02:00"}).starts_at == datetime(2026, 3, 1, 23, tzinfo=UTC)


def test_without_a_pre_period_plain_means_decide() -> None:
    assert {metric.decides for metric in parse({**LEAST, "pre_days": 0}).metrics} == {"raw"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"name": None}, "name"),
        ({"hypothesis": "  "}, "hypothesis: write a text"),
        ({"trafic": 0.5}, "trafic: there is no such field, did you mean traffic"),
        ({"colour": "red"}, "colour: there is no such field: remove it"),
        ({"salt": "layer/home"}, "salt: it holds '/'"),
        ({"slot": [0, 5000]}, "layer is missing"),
        ({"layer": "home", "slot": [5000, 5000]}, "slot .* is empty"),
        ({"layer": "home", "slot": [0, 10_001]}, "slot 2: it is 10001"),
        ({"layer": "home", "slot": [0, 10], "traffic": 0.01}, "less than one bucket"),
        ({"traffic": 0}, "traffic: it is 0"),
        ({"traffic": 0.33333}, "traffic: .* write 0.3333"),
        ({"arms": {"control": 0.6, "treatment": 0.5}}, "arms are more than all users"),
        ({"arms": {"control": 0.5, "variant": 0.5}}, "arms variant: there is no such field"),
        ({"starts_at": "2026-03-02T10:00:00"}, "starts_at: .* has no zone: write 2026-03-02T10:00:00Z"),
        ({"starts_at": "next week"}, "starts_at: write a date"),
        ({"ends_at": "2026-03-02"}, "ends_at is .* not after starts_at"),
        ({"pre_days": 91}, "pre_days: it is 91"),
        ({"metrics": []}, "no metric is primary"),
        ({"metrics": [{"name": "play_count"}]}, "no metric is primary"),
        ({"metrics": [{"name": "play_count", "role": "primary"}] * 2}, "'play_count' is there twice"),
        ({"metrics": [{"name": "skips", "role": "primary"}]}, "'skips' is not built in"),
        ({"metrics": [{"name": "skips", "role": "primary", "sql": "SELECT"}]}, "'skips' has no unit"),
        ({"metrics": [{"name": "play_time", "role": "primary", "sql": "SELECT"}]}, "'play_time' is built in"),
        ({"metrics": [{"name": "play_time", "role": "primary", "margin": 0.1}]}, "only a guardrail has: remove it"),
        ({"metrics": [{"name": "play_time", "role": "boss"}]}, "metrics 1 role: it is 'boss'"),
        ({"metrics": [{"name": "play_time", "role": "primary", "decides": "cuped"}], "pre_days": 0}, "raise pre_days"),
        ({"looks": "weekly"}, "looks: .* write daily, none or a list of dates"),
        ({"looks": ["2026-03-17"]}, "looks name 2026-03-17"),
        ({"looks": ["2026-03-09", "2026-03-05"]}, "looks are not in order"),
        ({"minimum_detectable_effect": 0}, "minimum_detectable_effect: it is 0"),
        ({"segments": ["age", "age"]}, "segments: each may be named once"),
        ({"bots": {"plays_per_day": 0}}, "bots plays_per_day: it is 0"),
        ({"models": {"control": "models:/liber-ctr/3"}}, "models treatment: it is missing"),
        ({"models": {"control": "liber-ctr", "treatment": "models:/x/1"}}, "models control: it is 'liber-ctr'"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_mistake_is_one_sentence_that_names_the_field(wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=rf"^ab\.yaml: .*{said}") as raised:
        parse({**LEAST, **wrong}, "ab.yaml")
    assert "\n" not in str(raised.value)


def test_the_documented_example_is_a_definition(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    example = page.split("```yaml\n")[1].split("```")[0]
    (tmp_path / "ab.yaml").write_text(example, encoding="utf-8")
    read = parse(read_file(tmp_path / "ab.yaml"))
    assert (read.name, read.layer, read.assignment.share) == ("memory-on-home", "home", 0.05)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"name: a\nname: b\n", "line 1: .*name is named twice, remove one"),
        (b"name: [a\n", "line 2: this is not YAML"),
        (b"- a\n", "write fields and their values"),
        (b"name: \xff\n", "is not UTF-8"),
        (b"name: !!python/object:os.system {}\n", "line 1: this is not YAML"),
    ],
)
def test_what_is_no_definition_file_is_refused_by_its_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "ab.yaml").write_bytes(content)
    with pytest.raises(InputError, match=said):
        read_file(tmp_path / "ab.yaml")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nothing\.yaml cannot be read"):
        read_file(tmp_path / "nothing.yaml")
