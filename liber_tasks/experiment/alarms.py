"""What of a readout must wake somebody up: a broken split, a breached guardrail. Pure."""

from collections.abc import Mapping
from typing import Any


def alarms(record: Mapping[str, Any]) -> list[str]:
    """A sentence each; empty where all is well.

    Args:
        record: `Readout.to_dict()`.
    """
    found = []
    ratio, name = record["sample_ratio"], record["experiment"]
    if not ratio["ok"]:
        found.append(
            f"Experiment {name!r}: sample ratio mismatch, {ratio['observed_treatment']:.2%} of the exposed users are "
            f"treated where {ratio['expected_treatment']:.2%} should be (p = {ratio['p_value']:.2g}). Stop reading its "
            "lifts and find out what lost users."
        )
    for metric in record["metrics"].values():
        guardrail = metric.get("guardrail")
        if guardrail and guardrail["verdict"] == "inferior":
            found.append(
                f"Experiment {name!r}: guardrail {metric['name']} is worse by more than its margin of "
                f"{guardrail['margin']:.1%}. Decide whether to stop it: liber experiment stop {name}."
            )
    return found
