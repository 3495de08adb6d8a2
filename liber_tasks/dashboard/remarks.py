"""What a reader must know besides the verdict: the state of the data, of guardrails, segments and novelty. Pure."""

from liber_tasks.dashboard.verdicts import SIGNIFICANT, primaries
from liber_tasks.dashboard.words import ARM_NAMES, count, metric, p_value, percent
from liber_tasks.experiment.record import Metric, Readout


def mismatch(readout: Readout) -> str | None:
    """What is wrong with the users of the arms; None: nothing."""
    ratio = readout.sample_ratio
    if ratio.ok:
        return None
    return (
        f"Sample ratio mismatch: {ratio.observed_treatment:.2%} of the exposed users are treated, "
        f"{ratio.expected_treatment:.2%} should be (p {p_value(ratio.p_value)}). Find out what lost users; "
        "no number of this experiment can be trusted before."
    )


def warnings(readout: Readout) -> list[str]:
    """What else a reader must know before the numbers, a sentence each; empty when nothing is."""
    found, quality = [], readout.quality
    if not readout.complete:
        found.append(
            "The experiment still runs. The intervals of the table hold for one look at its end: do not stop early on "
            "them. The bands day by day hold at every look they are drawn for."
        )
    if quality.crossed:
        found.append(f"{count(quality.crossed, 'user was', 'users were')} served both arms and left out.")
    if quality.wrong_arm:
        found.append(f"{quality.wrong_arm:,} exposed users were served another arm than their bucket gives.")
    if quality.exposed_outside:
        found.append(f"{quality.exposed_outside:,} exposures lie outside the experiment's time and are left out.")
    return found


def simulation(readout: Readout) -> str:
    """What a simulated experiment can and cannot show."""
    planted = readout.planted or {}
    if not any(planted.values()):
        return "Synthetic users in an A/A test: no lift was planted, so whatever differs is chance."
    lifts = ", ".join(
        f"{metric(one.name).lower()} {percent(planted[one.name], 2)}"
        for one in primaries(readout)
        if one.name in planted
    )
    return (
        f"Synthetic users with planted lifts ({lifts}). It shows that the readout finds a lift that is there; it says "
        "nothing about what LIBER achieves."
    )


def novelty(one: Metric) -> str:
    """How the lift changes with the days since exposure."""
    found = one.novelty
    if found is None:
        return "This readout did not look at the days since exposure."
    if found.slope is None or found.p_value is None:
        return found.reason or "Too few days since exposure to say whether the lift changes."
    change, p = percent(found.slope, 2), p_value(found.p_value)
    if found.p_value >= SIGNIFICANT:
        return f"No sign that the lift changes with the days since exposure ({change} a day, p {p})."
    goes = "grows" if found.slope > 0 else "falls"
    return f"The lift {goes} with the days since exposure: {change} a day (p {p}). Let it settle before trusting it."


def interaction(one: Metric, dimension: str) -> str:
    """Whether the lifts of a dimension's values differ."""
    found = next((each for each in one.interactions if each.dimension == dimension), None)
    if found is None or found.p_value is None or found.statistic is None:
        why = f": {found.reason}" if found and found.reason else "."
        return f"Whether the lift differs by {dimension} was not tested{why}"
    test = f"Q {found.statistic:.1f}, {count(found.degrees or 0, 'degree')} of freedom, p {p_value(found.p_value)}"
    if found.p_value >= SIGNIFICANT:
        return f"No sign that the lift differs by {dimension} ({test}): differences below are what chance gives."
    return f"The lift differs by {dimension} ({test})."


def guardrail(one: Metric) -> str:
    """What is known of a guardrail."""
    rule = one.guardrail
    if rule is None or rule.verdict is None:
        return f"cannot be judged: {rule.reason}" if rule and rule.reason else "cannot be judged"
    return {
        "non-inferior": "safe: has not lost more than allowed",
        "inferior": "BREACHED: has lost more than allowed",
        "undecided": "undecided: may have lost more than allowed",
    }[rule.verdict]


def quality(readout: Readout) -> list[dict[str, str]]:
    """The checks of the data, a row each: what, how many, what was done."""
    ratio, found = readout.sample_ratio, readout.quality

    def by_arm(numbers: dict[str, int]) -> str:
        return ", ".join(f"{numbers.get(arm, 0):,} {word}" for arm, word in ARM_NAMES.items()) if numbers else "0"

    told = "as planned" if ratio.ok else "WRONG"
    return [
        {"Check": "Share treated", "Found": f"{ratio.observed_treatment:.2%}, {ratio.expected_treatment:.2%} planned",
         "Means": f"{told} (p {p_value(ratio.p_value)}, alarm below {ratio.threshold:g})"},
        {"Check": "Served both arms", "Found": f"{found.crossed:,}", "Means": "left out"},
        {"Check": "Served the wrong arm", "Found": f"{found.wrong_arm:,}", "Means": "counted where they were served"},
        {"Check": "Bots", "Found": by_arm(found.bots), "Means": "beyond the experiment's rule, left out"},
        {"Check": "Without a pre-period", "Found": by_arm(found.without_pre_period), "Means": "CUPED takes it as 0"},
        {"Check": "Without a play", "Found": by_arm(found.without_play), "Means": "counted with 0"},
        {"Check": "Exposures outside its time", "Found": f"{found.exposed_outside:,}", "Means": "left out"},
    ]  # fmt: skip
