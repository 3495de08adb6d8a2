"""What the dashboard says about a readout."""

from dataclasses import replace
from itertools import pairwise

import pytest

from liber_tasks.dashboard import remarks, tables, verdicts, words
from liber_tasks.experiment.record import METHODS, Estimate, Guardrail, Readout, SampleRatio, from_dict
from tests.dashboard import records
from tests.dashboard.records import estimate


def two(count: Estimate, time: Estimate, **changes: object) -> Readout:
    """A finished experiment of which the deciding method says this."""
    found = records.rich(**changes)
    for name, one in (("play_count", count), ("play_time", time)):
        found = records.changed(found, name, estimates=found.metrics[name].estimates | {"cuped": one, "raw": one})
    return found


def said(readout: Readout) -> str:
    return verdicts.decision(readout)[1].replace(words.THIN, " ")


@pytest.mark.parametrize(
    ("count", "time", "verdict", "words_"),
    [
        (estimate(0.03), estimate(0.08), "better", "raised play count by 3.0 % (95 % interval +2.0 to +4.0 %)"),
        (estimate(0.001), estimate(0.08), "better", "Play count shows no clear difference"),
        (estimate(-0.03), estimate(0.001), "worse", "lowered play count by 3.0 %"),
        (estimate(-0.03), estimate(0.08), "mixed", "raised play time by 8.0 %"),
        (estimate(0.001, 0.028), estimate(0.001), "unclear", "a change of 4.0 % would have been found"),
        (estimate(None), estimate(0.001), "unclear", "Play count cannot be compared"),
    ],
)
def test_a_decision_follows_from_all_primary_metrics(
    count: Estimate, time: Estimate, verdict: str, words_: str
) -> None:
    found = two(count, time)
    assert verdicts.decision(found)[0] == verdict
    assert words_ in said(found)


def test_the_method_fixed_in_advance_decides_whatever_the_others_say() -> None:
    opposite = {name: estimate(-0.08) for name in METHODS}
    found = records.changed(
        records.rich(), "play_count", decides="capped", estimates=opposite | {"capped": estimate(0.03)}
    )
    assert verdicts.decision(found)[0] == "better"
    assert next(row["method"] for row in tables.estimates(found) if row["decides"]) == "capped"


def test_an_adjusted_method_without_a_lift_gives_way_to_the_unadjusted() -> None:
    found = two(estimate(0.03), estimate(0.08))
    found = records.changed(
        found, "play_count", estimates=found.metrics["play_count"].estimates | {"cuped": Estimate()}
    )
    assert verdicts.decides(found.metrics["play_count"]) == "raw"
    assert "raised play count by 3.0 %" in said(found)


def test_less_may_be_better() -> None:
    found = records.changed(two(estimate(-0.03), estimate(0.001)), "play_count", better="lower")
    assert verdicts.decision(found)[0] == "better"


def test_secondary_metrics_do_not_decide() -> None:
    found = records.changed(records.unclear(), "play_time", role="secondary", estimates={"cuped": estimate(0.5)})
    assert verdicts.decision(found)[0] == "unclear"
    assert "play time" not in said(found)


def test_a_breached_guardrail_overrides() -> None:
    verdict, sentence = verdicts.decision(records.breached())
    assert verdict == "breach"
    assert sentence.startswith("Active days lost more than allowed: do not ship this. The treatment raised")


def test_an_undecided_guardrail_is_said() -> None:
    found = records.changed(records.rich(), "active_days", guardrail=Guardrail(0.001, "undecided"))
    assert verdicts.decision(found)[0] == "better"
    assert said(found).endswith("Active days may still have lost more than allowed.")


def test_a_sample_ratio_mismatch_leaves_no_decision_and_no_number() -> None:
    found = replace(records.breached(), sample_ratio=records.mismatched().sample_ratio)
    verdict, sentence = verdicts.decision(found)
    assert verdict == "hidden"
    assert "%" not in sentence
    assert "47.00%" in (remarks.mismatch(found) or "")
    assert all(
        row[field] is None for row in tables.estimates(found) for field in ("lift", "lift_low", "p_value", "mde")
    )


def test_a_running_experiment_is_judged_by_the_band_of_its_newest_planned_look() -> None:
    found = records.running()
    assert verdicts.decision(found)[0] == "better"
    assert said(found).startswith("Not final, the experiment still runs: the treatment raised play count by 6.6 %")
    assert "already clear at the planned look of 11 Jan 2026 (+4.1 to +9.0 %)" in said(found)
    assert "Play time shows no clear difference at the planned look" in said(found)
    assert verdicts.headline(found) == "The treatment is better so far"
    assert any("do not stop early" in warning for warning in remarks.warnings(found))


def test_a_running_experiment_is_not_clear_by_what_holds_at_its_end_only() -> None:
    """Its one-look interval excludes 0, and so does the lift of the days since; its planned band does not."""
    found = records.running(0.03, half=0.03)
    found = records.changed(found, "play_count", estimates={"cuped": estimate(0.03, 0.001)})
    assert verdicts.decision(found)[0] == "unclear"
    assert "by" not in said(found).split("play count")[1].split("(")[0]


def test_before_the_first_planned_look_nothing_is_judged() -> None:
    found = records.running(0.5, days=6)
    assert verdicts.decision(found)[0] == "unclear"
    assert "play count cannot be judged before the first planned look" in said(found)
    assert "%" not in said(found)


def test_a_record_of_the_first_method_is_judged_by_the_papers_two_metrics() -> None:
    found = from_dict(records.old())
    assert [one.name for one in verdicts.primaries(found)] == ["play_count", "play_time"]
    assert verdicts.decision(found)[0] == "better"
    assert [(row["metric"], row["method"]) for row in tables.estimates(found)] == [
        (metric, method) for metric in ("Play count", "Play time", "Time per play") for method in ("raw", "CUPED")
    ]


def test_metrics_come_in_the_order_of_their_roles_whatever_the_record_keeps() -> None:
    names = [one.name for one in verdicts.ordered(records.rich())]
    assert names == ["play_count", "play_time", "active_days", "complaints", "time_per_play"]


def test_a_sound_readout_has_no_warning() -> None:
    assert remarks.warnings(records.rich()) == []
    assert remarks.mismatch(records.rich()) is None


def test_what_is_wrong_with_the_data_is_counted() -> None:
    found = " ".join(remarks.warnings(records.mismatched()))
    for words_ in (
        "41 users were served both arms",
        "3 exposed users were served another arm",
        "12 exposures lie outside",
    ):
        assert words_ in found
    rows = {row["Check"]: row["Found"] for row in remarks.quality(records.mismatched())}
    assert rows["Bots"] == "14 control, 390 treated"


def test_segments_and_novelty_in_words() -> None:
    one = records.rich().metrics["play_count"]
    assert remarks.interaction(one, "platform").startswith("The lift differs by platform (Q 9.4, 2 degrees of freedom")
    assert "was not tested: one value has too few users" in remarks.interaction(one, "account age")
    assert "The lift falls with the days since exposure" in remarks.novelty(one)
    same = replace(one, interactions=[replace(one.interactions[0], p_value=0.4)])
    assert remarks.interaction(same, "platform").startswith("No sign that the lift differs by platform")
    assert remarks.novelty(replace(one, novelty=replace(one.novelty, p_value=0.4))).startswith("No sign that the lift")
    assert "did not look" in remarks.novelty(replace(one, novelty=None))


def test_bins_join_and_zeros_stand_apart() -> None:
    one = records.rich().metrics["play_count"]
    rows = [row for row in tables.bins(one) if row["arm"] == "control"]
    assert all(first["high"] == second["low"] for first, second in pairwise(rows))
    assert sum(row["share"] for row in rows) + tables.zeros(one)["control"] == pytest.approx(1)


def test_a_simulation_says_what_was_planted() -> None:
    planted = {"play_count": 0.0301, "play_time": 0.0769, "time_per_play": 0.045}
    assert "+3.01" in remarks.simulation(records.rich(simulated=True, planted=planted))
    assert "whatever differs is chance" in remarks.simulation(records.rich(planted=dict.fromkeys(planted, 0.0)))


def test_a_sample_ratio_as_planned_is_no_mismatch() -> None:
    found = records.rich(sample_ratio=SampleRatio(0.5, 0.49, 5, 0.002, 0.001))
    assert remarks.mismatch(found) is None
