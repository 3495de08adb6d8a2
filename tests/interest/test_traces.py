"""Sampled MLflow traces of LLM calls: what is kept, what a reader finds, and that a run never suffers for them."""

import json
import logging
import os
import socket
import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from mlflow import MlflowClient
from mlflow.entities import SpanStatusCode, SpanType, Trace

from liber_tasks.config import Settings
from liber_tasks.config import load as settings_of
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.interest import traces
from liber_tasks.interest.call import ItemPlace, PartitionPlace
from liber_tasks.mlflow_client import PATIENCE
from tests.services_mlflow import mlflow_url  # noqa: F401

AWAY = "http://127.0.0.1:9"
STARTED = datetime(2026, 3, 1, 12, 30, 15, 250_000, tzinfo=UTC)
CALL: dict[str, Any] = {
    "place": PartitionPlace("ann", 7, 3), "kind": "summary", "prompt": "A “quoted” title\nWhat is liked?",
    "answer_text": "Likes thrillers.", "model": "some/model", "server": "tgi 3.3", "prompt_tokens": 120,
    "completion_tokens": 9, "latency_seconds": 1.5, "started_at": STARTED, "error": None,
}  # fmt: skip
UNSAID = ("started_at", "place")  # no JSON
HOSTILE = ["o'brien", 'the "one"', 'o\'brien "the one"', "`tick` \\ % _", "ü" * 5000, "' OR tags.a = 'b"]


@pytest.fixture
def tracked(mlflow_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Settings]:  # noqa: F811
    """Settings that keep every call, in an experiment of this test only."""
    monkeypatch.setattr(traces, "EXPERIMENT", f"liber-interest-{uuid.uuid4().hex[:8]}")
    monkeypatch.chdir(tmp_path)  # where a client that asks nobody makes a database of its own
    yield pointed_at(mlflow_url)
    assert not list(tmp_path.iterdir())


@pytest.fixture
def client(mlflow_url: str) -> MlflowClient:  # noqa: F811
    return MlflowClient(tracking_uri=mlflow_url, registry_uri=mlflow_url)


@pytest.fixture
def silent_url() -> Iterator[str]:
    """A server that takes connections and never answers; at the end they break."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def warnings() -> Iterator["Warnings"]:
    handler = Warnings()
    logging.getLogger("liber").addHandler(handler)
    yield handler
    logging.getLogger("liber").removeHandler(handler)


class Warnings(logging.Handler):
    """What the run is told; `first` is set by the first of it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.said: list[str] = []
        self.first = threading.Event()

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())
        self.first.set()


def pointed_at(url: str | None, share: float = 1) -> Settings:
    return settings_of(local=False).model_copy(update={"mlflow_tracking_uri": url, "trace_share": share})


def keeping(share: float, run_id: str = "run") -> Callable[[str], bool]:
    """The choice of one run."""
    with closing(traces.Traces(pointed_at(AWAY, share), run_id, "version")) as kept:
        return kept.keep


def kept(client: MlflowClient, condition: str | None = None) -> list[Trace]:
    experiment = client.get_experiment_by_name(traces.EXPERIMENT)
    return list(client.search_traces(locations=[experiment.experiment_id], filter_string=condition))


def of(user_id: str) -> PartitionPlace:
    """A partition of a user."""
    return PartitionPlace(user_id, 7, 3)


def trace(settings: Settings, *calls: dict[str, Any], run_id: str = "run-7") -> None:
    """One run with these calls."""
    with closing(traces.Traces(settings, run_id, "model-movies-1")) as run:
        for number, call in enumerate(calls):
            run.record(**{"call_key": f"key-{number}"} | CALL | call)


@hypothesis_settings(deadline=None, max_examples=30)
@given(share=st.floats(0, 1), more=st.floats(0, 1), salt=st.integers(0, 1000))
def test_the_share_kept_is_the_share_asked_for_and_a_call_is_in_every_runs_sample_or_none(
    share: float, more: float, salt: int
) -> None:
    keys = [f"{salt}-{number}" for number in range(4000)]
    keep, again, wider = keeping(share), keeping(share, "other run"), keeping(max(share, more))
    sample = {key for key in keys if keep(key)}
    assert abs(len(sample) / len(keys) - share) < 6 * (share * (1 - share) / len(keys)) ** 0.5 + 1 / len(keys)
    assert sample == {key for key in keys if again(key)}
    assert sample <= {key for key in keys if wider(key)}


def test_share_one_keeps_every_call_and_share_zero_none() -> None:
    keys = [str(number) for number in range(2000)]
    assert all(map(keeping(1), keys))
    assert not any(map(keeping(0), keys))


def test_share_zero_imports_no_mlflow_starts_no_thread_and_needs_no_address() -> None:
    code = f"""
import json, sys, threading
from datetime import datetime, timezone
from liber_tasks.config import load
from liber_tasks.interest.call import PartitionPlace
from liber_tasks.interest.traces import Traces
settings = load(local=False, trace_share=0).model_copy(update={{"mlflow_tracking_uri": None}})
run = Traces(settings, "run", "version")
call = json.loads({json.dumps(json.dumps({name: value for name, value in CALL.items() if name not in UNSAID}))})
run.record(call_key="key", place=PartitionPlace("ann", 7, 3), started_at=datetime.now(timezone.utc), **call)
print(json.dumps([[name for name in sys.modules if name.split(".")[0] in ("mlflow", "opentelemetry")],
                  threading.active_count()]))
run.close()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[], 1]


def test_traces_without_an_address_are_refused_at_the_start() -> None:
    with pytest.raises(InputError, match="MLFLOW_TRACKING_URI is not set"):
        traces.Traces(pointed_at(None), "run", "version")


def test_a_call_is_found_with_its_texts_tokens_times_and_origin(tracked: Settings, client: MlflowClient) -> None:
    trace(tracked, {}, {"kind": "shift", "place": of("ben")})
    (found,) = kept(client, "tags.`liber.user_id` = 'ann' AND tags.`liber.kind` = 'summary'")
    (span,) = found.data.spans
    assert span.span_type == SpanType.CHAT_MODEL
    assert span.inputs == {"prompt": CALL["prompt"]}
    assert span.outputs == {"text": CALL["answer_text"]}
    assert span.get_attribute("mlflow.chat.tokenUsage") == found.info.token_usage
    assert found.info.token_usage == {"input_tokens": 120, "output_tokens": 9, "total_tokens": 129}
    assert span.model_name == "some/model"
    assert span.get_attribute("liber.server") == "tgi 3.3"
    assert span.start_time_ns == found.info.request_time * 10**6 == int(STARTED.timestamp() * 1000) * 10**6
    assert span.end_time_ns - span.start_time_ns == 1_500_000_000
    assert found.info.execution_duration == 1500
    assert span.status.status_code == SpanStatusCode.OK
    expected = {
        "liber.call_key": "key-0", "liber.user_id": "ann", "liber.partition_no": "3", "liber.kind": "summary",
        "liber.run_id": "run-7", "liber.knowledge_version": "model-movies-1",
    }  # fmt: skip
    assert expected.items() <= found.info.tags.items()


def test_a_call_about_an_item_is_found_by_the_item_and_is_nobodys(tracked: Settings, client: MlflowClient) -> None:
    trace(tracked, {"kind": "item", "place": ItemPlace("film 7", 7, "0" * 64)})
    (found,) = kept(client, "tags.`liber.item_id` = 'film 7' AND tags.`liber.kind` = 'item'")
    assert not {name for name in found.info.tags if name.startswith("liber.user") or name == "liber.partition_no"}
    assert traces.forget(tracked, "ann") == 0


def test_a_failed_call_is_an_error_with_its_reason_and_no_answer(tracked: Settings, client: MlflowClient) -> None:
    trace(tracked, {"answer_text": None, "error": "422: too long", "prompt_tokens": None, "completion_tokens": None})
    (found,) = kept(client, "trace.status = 'ERROR'")
    (span,) = found.data.spans
    assert (span.status.status_code, span.status.description) == (SpanStatusCode.ERROR, "422: too long")
    assert span.outputs is None
    assert found.info.token_usage is None


def test_only_the_sample_is_sent_and_more_than_one_batch_arrives_whole(
    tracked: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "BATCH", 4)
    sampled = tracked.model_copy(update={"trace_share": 0.3})
    trace(sampled, *({} for _ in range(40)))
    expected = {f"key-{number}" for number in range(40) if keeping(0.3)(f"key-{number}")}
    assert len(expected) > 4
    assert sorted(found.info.tags["liber.call_key"] for found in kept(client)) == sorted(expected)
    assert all(found.data.spans for found in kept(client))


def test_a_call_asked_again_is_another_trace(tracked: Settings, client: MlflowClient) -> None:
    trace(tracked, *({"call_key": "same"} for _ in range(2)))
    trace(tracked, {"call_key": "same"}, run_id="run-8")
    assert len(kept(client, "tags.`liber.call_key` = 'same'")) == 3


def test_an_erased_users_traces_are_gone_and_nobody_elses(
    tracked: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "_PAGE", 2)
    trace(tracked, *({"place": of(user)} for user in ["ann", "ben", "ann", "Ann", "ann", "ann", "ann"]))
    assert traces.forget(tracked, "ann") == 5
    assert sorted(found.info.tags["liber.user_id"] for found in kept(client)) == ["Ann", "ben"]
    assert traces.forget(tracked, "ann") == 0
    assert traces.forget(tracked, "nobody") == 0


def test_a_user_with_any_id_is_found_and_forgotten_alone(tracked: Settings, client: MlflowClient) -> None:
    trace(tracked, *({"place": of(user)} for user in HOSTILE))
    for left, user in zip(range(len(HOSTILE))[::-1], HOSTILE, strict=True):
        assert traces.forget(tracked, user) == 1
        assert len(kept(client)) == left


def test_forgetting_says_when_it_could_not_look(tracked: Settings) -> None:
    assert traces.forget(pointed_at(None), "ann") == 0
    assert traces.forget(tracked, "ann") == 0  # no experiment yet
    with pytest.raises(ServiceUnavailable, match=f"MLflow does not answer at {AWAY}"):
        traces.forget(pointed_at(AWAY), "ann")


def test_an_mlflow_that_is_away_costs_a_run_one_warning(warnings: Warnings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(traces, "BATCH", 1)
    monkeypatch.setattr(traces, "PAUSE_SECONDS", 0)
    with closing(traces.Traces(pointed_at(AWAY), "run", "version")) as run:
        run.record(call_key="1", **CALL)
        assert warnings.first.wait(60)
        for number in range(20):
            run.record(call_key=f"later-{number}", **CALL)
    (said,) = warnings.said
    assert said.startswith(f"MLflow traces are being lost: MLflow at {AWAY} does not take them")


def test_an_mlflow_that_never_answers_holds_up_neither_the_calls_nor_the_end_of_a_run(
    silent_url: str, warnings: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "CLOSE_SECONDS", 0.2)
    monkeypatch.setattr(traces, "WAITING", 10)
    monkeypatch.setattr(traces, "BATCH", 1)
    run = traces.Traces(pointed_at(silent_url), "run", "version")
    for number in range(12):
        run.record(call_key=str(number), **CALL)
    assert [said.split(": ")[1] for said in warnings.said] == [
        "MLflow takes them too slowly (10 wait). The run goes on without them."
    ]
    run.close()
    assert len(warnings.said) == 1


def test_traces_arrive_again_after_a_failure(
    tracked: Settings, client: MlflowClient, warnings: Warnings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(traces, "PAUSE_SECONDS", 0)
    experiment = client.create_experiment(traces.EXPERIMENT)
    client.delete_experiment(experiment)  # MLflow takes no trace in a deleted one
    with closing(traces.Traces(tracked, "run", "version")) as run:
        run.record(call_key="lost", **CALL)
        assert warnings.first.wait(60)
        client.restore_experiment(experiment)
        run.record(call_key="kept", **CALL)
    assert [found.info.tags["liber.call_key"] for found in kept(client)] == ["kept"]
    assert len(warnings.said) == 1


def test_the_environment_is_as_it_was_once_a_run_is_closed(tracked: Settings) -> None:
    before = dict(os.environ)
    run = traces.Traces(tracked, "run", "version")
    assert PATIENCE.items() <= dict(os.environ).items()
    run.close()
    run.close()
    assert dict(os.environ) == before
