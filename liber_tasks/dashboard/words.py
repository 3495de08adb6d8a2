"""A readout and a timeline in plain words. Pure functions over stored records."""

import re
from datetime import date, datetime
from typing import Any, Literal

Verdict = Literal["better", "worse", "unclear", "mixed", "hidden"]

METRIC_NAMES = {"play_count": "Play count", "play_time": "Play time", "time_per_play": "Time per play"}
DECIDING = ("play_count", "play_time")  # the paper's two (Table 5); time per play explains them
SIGNIFICANT = 0.05
EMBEDDED_MODELS = re.compile(r"^local$|smollm2?-?135m", re.IGNORECASE)


def percent(value: float | None, digits: int = 1) -> str:
    """A relative change: `+3.1 %` with a space that does not break; a dash where there is none."""
    return "–" if value is None else f"{100 * value:+.{digits}f}\u202f%".replace("-", "−")


def interval(low: float | None, high: float | None) -> str:
    """An interval of relative changes: `+1.2 to +5.0 %`."""
    return "–" if low is None or high is None else f"{percent(low).removesuffix('%').strip()} to {percent(high)}"


def p_value(value: float | None) -> str:
    """A p-value: three digits, or `< 0.001`."""
    return "–" if value is None else "<\u202f0.001" if value < 0.001 else f"{value:.3f}"


def number(value: float | None) -> str:
    """A mean: about four significant digits, thousands separated."""
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def day(value: datetime | date) -> str:
    """A date as `5 Jan 2026`."""
    return f"{value.day} {value:%b %Y}"


def period(start: datetime, end: datetime) -> str:
    """Two dates, said once where they are the same."""
    return day(start) if start.date() == end.date() else f"{day(start)} – {day(end)}"


def plain(text: str) -> str:
    """Text that Markdown leaves as it is: what models, catalogues and users wrote must not become markup."""
    return re.sub(r"([\\`*_{}\[\]()#+\-.!|~$:<>&])", r"\\\1", text.replace("\n", " "))


def best(metric: dict[str, Any]) -> dict[str, Any]:
    """The estimate a decision rests on: CUPED where there is one, else raw."""
    return metric["raw"] if metric["cuped"]["lift"] is None else metric["cuped"]


def decision(record: dict[str, Any]) -> tuple[Verdict, str]:
    """What a stored readout says, in one or two sentences.

    Args:
        record: `Readout.to_dict()`.

    Returns:
        The verdict over play count and play time, and the words.
    """
    if not record["sample_ratio"]["ok"]:
        return "hidden", "No decision: the arms do not have the users they should have, so the lifts are hidden."
    moved: list[str] = []
    same: list[str] = []
    signs: set[bool] = set()
    for name in DECIDING:
        metric, label = best(record["metrics"][name]), METRIC_NAMES[name].lower()
        if metric["lift"] is None:
            same.append(f"{label} cannot be compared")
        elif metric["p_value"] < SIGNIFICANT:
            up = metric["lift"] > 0
            signs.add(up)
            bounds = f"95 % interval {interval(metric['lift_low'], metric['lift_high'])}"
            moved.append(
                f"{'raised' if up else 'lowered'} {label} by {percent(abs(metric['lift'])).lstrip('+')} ({bounds})"
            )
        else:
            same.append(f"{label} shows no clear difference (a change of {percent(metric['mde']).lstrip('+')} "
                        "would have been found four times in five)")  # fmt: skip
    sentences = ([f"the treatment {' and '.join(moved)}"] if moved else []) + ([" and ".join(same)] if same else [])
    words = ". ".join(sentence[0].upper() + sentence[1:] for sentence in sentences) + "."
    if not record["complete"]:
        words = f"Not final, the experiment still runs: {words[0].lower()}{words[1:]}"
    if len(signs) == 2:
        return "mixed", words
    return ("unclear" if not signs else "better" if True in signs else "worse"), words


def simulation(planted: dict[str, float]) -> str:
    """What a simulated experiment can and cannot show."""
    if not any(planted.values()):
        return "Synthetic users in an A/A test: no lift was planted, so whatever differs is chance."
    lifts = ", ".join(f"{METRIC_NAMES[name].lower()} {percent(planted[name], 2)}" for name in DECIDING)
    return (
        f"Synthetic users with planted lifts ({lifts}). It shows that the readout finds a lift that is there; it says "
        "nothing about what LIBER achieves."
    )


def warnings(record: dict[str, Any]) -> list[str]:
    """What is wrong with the data of a readout, a sentence each; empty when nothing is."""
    found = []
    ratio, quality = record["sample_ratio"], record["quality"]
    if not ratio["ok"]:
        found.append(
            f"Sample ratio mismatch: {ratio['observed_treatment']:.2%} of the exposed users are treated, "
            f"{ratio['expected_treatment']:.2%} should be (p {p_value(ratio['p_value'])}). Find out what lost users; "
            "no number of this experiment can be trusted before."
        )
    if not record["complete"]:
        found.append(
            "The experiment still runs. These intervals hold for one look at its end: do not stop early on them."
        )
    if quality["wrong_arm"]:
        found.append(f"{quality['wrong_arm']:,} exposed users were served another arm than their bucket gives.")
    if quality["exposed_outside"]:
        found.append(f"{quality['exposed_outside']:,} exposures lie outside the experiment's time and are left out.")
    return found


def table(record: dict[str, Any]) -> list[dict[str, Any]]:
    """One row a metric and estimator, for the table, the chart and the CSV file; shares, not per cents."""
    planted = record["planted"] or {}
    fields = ("control", "treatment", "lift", "lift_low", "lift_high", "p_value", "mde", "reason")
    return [
        {
            "metric": label,
            "estimator": shown,
            "unit": record["metrics"][name]["unit"],
            **{field: record["metrics"][name][estimator][field] for field in fields},
            "planted": planted.get(name),
        }
        for name, label in METRIC_NAMES.items()  # the database keeps no order of keys
        for estimator, shown in (("raw", "raw"), ("cuped", "CUPED"))
    ]


def is_embedded(model: str) -> bool:
    """Is this the packaged small model, whose texts prove the wiring and not the value?"""
    return EMBEDDED_MODELS.search(model) is not None
