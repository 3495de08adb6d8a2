"""When a lift may be claimed, and that nothing else is called one."""

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from liber_tasks.evaluation.compare import Comparison
from liber_tasks.evaluation.studies import STUDIES, Study
from liber_tasks.evaluation.verdict import MIN_SEEDS, NAMES, sentences, verdict
from tests.evaluation.results import comparison

CONTROLS = STUDIES["controls"]


def _found(lift: float, **controls: float) -> list[Comparison]:
    """Comparisons of `liber` with these lower bounds."""
    return [comparison(low=lift), *(comparison(against=name, low=low) for name, low in controls.items())]


def _lows(value: float) -> dict[str, float]:
    return dict.fromkeys(CONTROLS.controls, value)


@rules(max_examples=200, deadline=None)
@given(
    st.floats(-0.01, 0.01),
    st.fixed_dictionaries({name: st.floats(-0.01, 0.01) for name in CONTROLS.controls}),
    st.integers(1, 9),
)
def test_a_lift_is_claimed_only_above_zero_and_above_every_control(
    lift: float, controls: dict[str, float], seeds: int
) -> None:
    said = verdict(CONTROLS, "din", _found(lift, **controls), seeds)
    assert said.claimed == (lift > 0 and min(controls.values()) > 0 and seeds >= MIN_SEEDS)
    assert ("the knowledge helps" in said.sentence) == said.claimed
    assert ("no lift is claimed" in said.sentence) != said.claimed


@pytest.mark.parametrize("name", CONTROLS.controls)
def test_one_control_that_is_not_beaten_is_enough_and_is_named(name: str) -> None:
    for worst in ({name: 0.0}, {name: -0.001}):
        said = verdict(CONTROLS, "din", _found(0.001, **(_lows(0.001) | worst)), 5)
        assert not said.claimed
        assert NAMES[name] in said.sentence
        assert not any(NAMES[other] in said.sentence for other in CONTROLS.controls if other != name)


@pytest.mark.parametrize("name", CONTROLS.controls)
def test_a_control_that_could_not_be_compared_is_not_beaten(name: str) -> None:
    lows = _lows(0.001)
    del lows[name]
    said = verdict(CONTROLS, "din", _found(0.001, **lows), 5)
    assert not said.claimed
    assert f"{NAMES[name]} (could not be compared)" in said.sentence


def test_without_an_interval_or_a_comparison_nothing_is_claimed() -> None:
    assert not verdict(CONTROLS, "din", [], 5).claimed
    others = [comparison(against=name) for name in CONTROLS.controls]
    assert not verdict(CONTROLS, "din", [comparison(low=None, high=None), *others], 5).claimed
    assert not verdict(CONTROLS, "dien", _found(0.01, **_lows(0.01)), 5).claimed  # it was din


def test_the_numbers_are_in_the_sentence() -> None:
    said = verdict(CONTROLS, "din", _found(0.002, **_lows(0.002)), 5).sentence
    assert "+0.0100 [+0.0020, +0.0200]" in said
    assert all(f"{NAMES[name]} by +0.0100" in said for name in CONTROLS.controls)


@pytest.mark.parametrize("study", [study for study in STUDIES.values() if study.treated is None])
def test_a_study_without_controls_claims_nothing(study: Study) -> None:
    above, below, unclear = comparison(), comparison(against="x", low=-0.03, high=-0.01), comparison("y", low=-0.1)
    said = sentences(study, ("din",), [above, below, unclear], 5)
    assert said[0].startswith("The user-level interval lies above zero for din liber - base +0.0100")
    assert said[1].startswith("The user-level interval lies below zero for din liber - x")
    assert said[2].startswith("No difference can be told from none for din y - base")
    assert "liber evaluate controls" in said[-1]
    assert not any("helps" in line for line in said)
    assert any("too few" in line for line in sentences(study, ("din",), [above], 4))
    assert sentences(study, ("din",), [], 5) == ["Nothing could be compared."]


def test_controls_have_a_verdict_on_every_backbone() -> None:
    both = [*_found(0.001, **_lows(0.001)), comparison(backbone="dien", low=-0.1)]
    said = sentences(CONTROLS, ("din", "dien"), both, 5)
    assert [line.split(":")[0] for line in said] == ["din", "dien"]
    assert ["knowledge helps" in line for line in said] == [True, False]
