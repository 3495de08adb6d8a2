"""What the dashboard says about a record."""

import copy

import pytest

from liber_tasks.dashboard import words


def estimate(lift: float | None, p: float | None = None, reason: str | None = None) -> dict:
    known = lift is not None
    return {
        "control": 10.0 if known else None, "treatment": 10 * (1 + lift) if known else None, "lift": lift,
        "lift_low": lift - 0.01 if known else None, "lift_high": lift + 0.01 if known else None, "p_value": p,
        "mde": 0.04 if known and p is not None and p >= 0.05 else None, "reason": reason,
    }  # fmt: skip


def record(count: dict, time: dict) -> dict:
    metrics = {
        name: {"name": name, "unit": "u", "raw": best, "cuped": estimate(None, reason="r")}
        for name, best in (("time_per_play", estimate(0.0, 0.9)), ("play_time", time), ("play_count", count))
    }
    return {
        "metrics": metrics, "complete": True, "planted": None,
        "sample_ratio": {
            "ok": True, "p_value": 0.5, "observed_treatment": 0.5, "expected_treatment": 0.5},
        "quality": {"wrong_arm": 0, "exposed_outside": 0},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("count", "time", "verdict", "said"),
    [
        (estimate(0.03, 0.001), estimate(0.08, 0.001), "better", "raised play count by 3.0"),
        (estimate(0.001, 0.6), estimate(0.08, 0.001), "better", "Play count shows no clear difference"),
        (estimate(-0.03, 0.001), estimate(0.001, 0.6), "worse", "lowered play count by 3.0"),
        (estimate(-0.03, 0.001), estimate(0.08, 0.001), "mixed", "raised play time by 8.0"),
        (estimate(0.001, 0.6), estimate(0.001, 0.6), "unclear", "a change of 4.0"),
        (estimate(None), estimate(0.001, 0.6), "unclear", "Play count cannot be compared"),
    ],
)
def test_a_decision_follows_from_both_metrics(count: dict, time: dict, verdict: str, said: str) -> None:
    found, sentence = words.decision(record(count, time))
    assert found == verdict
    assert said in sentence


def test_cuped_decides_where_there_is_one() -> None:
    both = record(estimate(0.03, 0.2), estimate(0.08, 0.2))
    both["metrics"]["play_count"]["cuped"] = estimate(-0.02, 0.01)
    assert words.decision(both)[0] == "worse"


def test_a_sample_ratio_mismatch_leaves_no_decision() -> None:
    broken = copy.deepcopy(record(estimate(0.03, 0.001), estimate(0.08, 0.001)))
    broken["sample_ratio"].update(ok=False, p_value=1e-9, observed_treatment=0.4)
    verdict, sentence = words.decision(broken)
    assert verdict == "hidden"
    assert "%" not in sentence
    assert any("40.00%" in warning for warning in words.warnings(broken))


def test_a_running_experiment_is_called_not_final() -> None:
    running = {**record(estimate(0.03, 0.001), estimate(0.08, 0.001)), "complete": False}
    assert words.decision(running)[1].startswith("Not final")
    assert any("do not stop early" in warning for warning in words.warnings(running))


def test_a_sound_readout_has_no_warning() -> None:
    assert words.warnings(record(estimate(0.0, 0.5), estimate(0.0, 0.5))) == []


def test_the_table_is_in_the_order_of_the_paper_whatever_the_record_keeps() -> None:
    rows = words.table(record(estimate(0.03, 0.1), estimate(0.08, 0.1)))
    assert [(row["metric"], row["estimator"]) for row in rows] == [
        (metric, estimator) for metric in ("Play count", "Play time", "Time per play") for estimator in ("raw", "CUPED")
    ]


def test_foreign_text_stays_text() -> None:
    assert words.plain("**a** [b](c) $d$ :smile: `e` <f>\n# g") == (
        r"\*\*a\*\* \[b\]\(c\) \$d\$ \:smile\: \`e\` \<f\> \# g"
    )


@pytest.mark.parametrize(
    ("model", "embedded"),
    [
        ("local", True),
        ("SmolLM2-135M-Instruct", True),
        ("smollm-135m", True),
        ("localai/llama-70b", False),
        ("Qwen", False),
    ],
)
def test_only_the_packaged_model_is_labelled(model: str, embedded: bool) -> None:
    assert words.is_embedded(model) is embedded


def test_a_simulation_says_what_was_planted() -> None:
    assert "+3.01" in words.simulation({"play_count": 0.0301, "play_time": 0.0769, "time_per_play": 0.045})
    assert "whatever differs is chance" in words.simulation({"play_count": 0, "play_time": 0.0, "time_per_play": 0.0})
