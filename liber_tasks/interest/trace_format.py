"""One LLM call as MLflow's entities: what its tables list and search, and the span that holds the texts."""

import json
import secrets
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from liber_tasks.interest.call import ItemPlace, PartitionPlace
from liber_tasks.interest.prompts import Kind, digest

if TYPE_CHECKING:
    from mlflow.entities import Span, TraceInfo

USER_TAG = "liber.user_sha256"  # fits and can be searched for, whatever a user is called
_PREVIEW = 500  # characters


@dataclass(frozen=True)
class Traced:
    """One call, as it is sent."""

    call_key: str
    place: PartitionPlace | ItemPlace
    kind: Kind
    prompt: str
    answer_text: str | None
    model: str
    server: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_seconds: float
    started_at: datetime
    error: str | None
    trace_id: str = field(default_factory=lambda: secrets.token_hex(16))


def trace_info(call: Traced, experiment_id: str, tags: dict[str, str]) -> "TraceInfo":
    """What MLflow lists and searches."""
    from mlflow.entities import TraceInfo, TraceLocation, TraceState
    from mlflow.tracing.constant import TraceTagKey

    start, end = _times(call)
    return TraceInfo(
        trace_id=f"tr-{call.trace_id}",
        trace_location=TraceLocation.from_experiment_id(experiment_id),
        request_time=start // 10**6,
        execution_duration=(end - start) // 10**6,
        state=TraceState.OK if call.error is None else TraceState.ERROR,
        request_preview=call.prompt[:_PREVIEW],
        response_preview=(call.answer_text or call.error or "")[:_PREVIEW],
        tags={
            **tags,
            TraceTagKey.TRACE_NAME: call.kind,
            "liber.kind": call.kind,
            "liber.call_key": call.call_key,
            **_about(call.place),
        },
    )


def _about(place: PartitionPlace | ItemPlace) -> dict[str, str]:
    """Tags that say what was asked about."""
    if isinstance(place, ItemPlace):
        return {"liber.item_id": place.item_id}
    return {
        "liber.user_id": place.user_id,
        USER_TAG: digest(place.user_id),
        "liber.partition_no": str(place.partition_no),
    }


def span(call: Traced) -> "Span":
    """The call itself, a finished span with no parent."""
    from mlflow.entities import Span, SpanType
    from mlflow.tracing.constant import SpanAttributeKey, TokenUsageKey
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, Status, StatusCode

    attributes: dict[str, object] = {
        SpanAttributeKey.REQUEST_ID: f"tr-{call.trace_id}",
        SpanAttributeKey.SPAN_TYPE: SpanType.CHAT_MODEL,
        SpanAttributeKey.INPUTS: {"prompt": call.prompt},
        SpanAttributeKey.MODEL: call.model,
        "liber.server": call.server,
    }
    if call.answer_text is not None:
        attributes[SpanAttributeKey.OUTPUTS] = {"text": call.answer_text}
    if call.prompt_tokens is not None and call.completion_tokens is not None:
        attributes[SpanAttributeKey.CHAT_USAGE] = {
            TokenUsageKey.INPUT_TOKENS: call.prompt_tokens,
            TokenUsageKey.OUTPUT_TOKENS: call.completion_tokens,
            TokenUsageKey.TOTAL_TOKENS: call.prompt_tokens + call.completion_tokens,
        }
    start, end = _times(call)
    return Span(ReadableSpan(
        name=call.kind,
        context=SpanContext(trace_id=int(call.trace_id, 16), span_id=int(call.trace_id[:16], 16), is_remote=False),
        attributes={name: json.dumps(value, ensure_ascii=False) for name, value in attributes.items()},
        status=Status(StatusCode.OK) if call.error is None else Status(StatusCode.ERROR, call.error),
        start_time=start,
        end_time=end,
    ))  # fmt: skip


def _times(call: Traced) -> tuple[int, int]:
    """Nanoseconds since the epoch of a call's start and end."""
    start = round(call.started_at.timestamp() * 10**6) * 1000
    return start, start + round(call.latency_seconds * 10**9)
