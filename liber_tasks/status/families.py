"""The pipeline's state as Prometheus metrics; pure. What each means: docs/runbook.md."""

from collections.abc import Iterator
from datetime import datetime

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from liber_tasks.config import Settings
from liber_tasks.status.state import State, cost


def own(settings: Settings, up: bool) -> Iterator[Metric]:
    """Metrics that are there whatever was counted."""
    yield gauge("liber_database_up", "Whether the LIBER database answers.", up)
    target = settings.freshness_target.total_seconds()
    yield gauge("liber_freshness_target_seconds", "LIBER_FRESHNESS_TARGET.", target)


def families(state: State, settings: Settings, now: datetime) -> Iterator[Metric]:
    """Metrics of a state; ages go on until `now`."""
    for name, what in (("done", "Done"), ("pending", "Waiting"), ("failed", "Set aside")):
        family = GaugeMetricFamily(f"liber_stage_{name}", f"{what}, in the stage's unit.", labels=["stage", "unit"])
        for one in state.stages:
            family.add_metric([one.stage, one.unit], getattr(one, name))
        yield family
    oldest = GaugeMetricFamily(
        "liber_stage_oldest_pending_seconds", "How long the oldest of what waits has waited.", labels=["stage"]
    )
    for one in state.stages:
        waits = (now - one.oldest_pending_at).total_seconds() if one.oldest_pending_at else 0
        oldest.add_metric([one.stage], max(waits, 0))
    yield oldest
    tokens = CounterMetricFamily("liber_llm_tokens", "Tokens of all LLM calls.", labels=["knowledge_version", "kind"])
    calls = CounterMetricFamily("liber_llm_calls", "LLM calls, repetitions included.", labels=["knowledge_version"])
    for use in state.llm:
        calls.add_metric([use.knowledge_version], use.calls)
        tokens.add_metric([use.knowledge_version, "prompt"], use.prompt_tokens)
        tokens.add_metric([use.knowledge_version, "answer"], use.completion_tokens)
    yield from (calls, tokens)
    spent = cost(state.llm, settings.llm_price_in, settings.llm_price_out)
    if spent is not None:
        money = CounterMetricFamily("liber_llm_cost", "Of all tokens, by LIBER_LLM_PRICE_*.", labels=["currency"])
        money.add_metric([settings.llm_currency], spent)
        yield money
    # gauges: a call that is asked again, or a user's erasure, takes errors away
    errors = GaugeMetricFamily("liber_llm_errors", "LLM calls without a text.", labels=["kind", "state", "class"])
    refused = GaugeMetricFamily("liber_rows_rejected", "Rows refused at ingest.", labels=["reason"])
    for problem in state.problems:
        if problem.source == "ingest":
            refused.add_metric([problem.reason], problem.n)
        else:
            errors.add_metric([problem.source, problem.state, problem.reason], problem.n)
    yield from (errors, refused)
    yield gauge("liber_rows_quarantined", "Rows refused at ingest and kept.", state.failures("rejected"))
    yield gauge("liber_calls_quarantined", "LLM calls set aside.", state.failures("quarantined"))
    waits = (state.waiting + (now - state.counted_at)).total_seconds() if state.waiting else 0
    yield gauge("liber_freshness_seconds", "How long the oldest partition without its vector has waited.", waits)
    newest = GaugeMetricFamily(
        "liber_newest_timestamp_seconds", "When the newest of a kind was written.", labels=["of"]
    )
    for kind, at in state.newest.items():
        if at is not None:
            newest.add_metric([kind], at.timestamp())
    yield newest
    yield gauge("liber_status_age_seconds", "How old these numbers are.", (now - state.counted_at).total_seconds())
    yield gauge("liber_status_count_seconds", "How long it took to count them.", state.seconds)


def gauge(name: str, help_text: str, value: float) -> GaugeMetricFamily:
    """A metric without labels."""
    return GaugeMetricFamily(name, help_text, value=value)
