"""What the tests of the efficiency study share: answers, settings, and reading a report."""

import json
from collections.abc import Callable
from typing import Any

from liber_tasks.config import Settings
from liber_tasks.interest.study.efficiency_report import EfficiencyReport, VariantCost
from tests.interest.faults import Reply, Seen, completion


def answering(words: dict[str, str] | None = None, **usage: Any) -> Callable[[int, str], Reply]:
    """Every answer is different; those to prompts that hold a word of `words` are given there."""

    def plan(number: int, prompt: str) -> Reply:
        said = next((text for word, text in (words or {}).items() if word in prompt), f"likes number {number}")
        body = json.loads(completion(said))
        body["usage"] |= usage
        return Reply(body=json.dumps(body))

    return plan


def at(settings: Settings, seen: Seen, **changes: Any) -> Settings:
    return settings.model_copy(update={"llm_url": seen.url, "llm_patience": 1.0, "llm_timeout": 10.0} | changes)


def by_name(report: EfficiencyReport) -> dict[str, VariantCost]:
    return {each.variant: each for each in report.variants}


def is_shift(prompt: str) -> bool:
    return "twice" in prompt
