"""A sample of the LLM calls as MLflow traces, for people who want to look at prompts and answers.

A trace about a partition holds what a user did, in the prompt. Its tags `liber.user_id` (readable) and
`liber.user_sha256` (exact, however long or oddly spelt the id) say whose it is: **erasing a user must call `forget`**,
after the user's rows are gone, so that no run asks about the user again. mlflow is imported where it is used, and only
if traces are wanted.
"""

import logging
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from threading import Condition, Thread
from typing import TYPE_CHECKING

from liber_tasks.config import Settings, environment
from liber_tasks.errors import ServiceUnavailable
from liber_tasks.interest.call import Call, ItemPlace, PartitionPlace, Place
from liber_tasks.interest.prompts import Kind, digest
from liber_tasks.interest.server.answers import Answer
from liber_tasks.interest.trace_format import USER_TAG, Traced, span, trace_info
from liber_tasks.mlflow_client import PATIENCE, connected, experiment_id

if TYPE_CHECKING:
    from mlflow import MlflowClient

EXPERIMENT = "liber-interest"
WAITING = 1000  # traces that wait to be sent; more are dropped
BATCH = 50  # traces whose spans are one request
CLOSE_SECONDS = 30.0  # a run's end waits no longer for what is unsent
PAUSE_SECONDS = 5.0  # after a failure, before MLflow is asked again
_PAGE = 100
_log = logging.getLogger("liber")


class Traces:
    """Sampled MLflow traces of a run's calls, sent by a thread of their own.

    Nothing here waits for MLflow but `close`, for at most `CLOSE_SECONDS`. What MLflow does not take is lost, with one
    warning a run. With `trace_share` 0 nothing is imported, started or sent.
    """

    def __init__(self, settings: Settings, run_id: str, knowledge_version: str) -> None:
        """Start the thread, if traces are wanted.

        Args:
            settings: `trace_share`, `mlflow_tracking_uri`.
            run_id: of this run; a tag of its traces.
            knowledge_version: likewise.

        Raises:
            InputError: traces are wanted, and MLFLOW_TRACKING_URI is not set.
        """
        self._share = settings.trace_share
        self._model = settings.llm_model
        self._tags = {"liber.run_id": run_id, "liber.knowledge_version": knowledge_version}
        self._waiting: deque[Traced] = deque()
        self._wake = Condition()
        self._closing = False
        self._warned = False
        self._lost = 0
        self._patience = ExitStack()
        self._thread: Thread | None = None
        if self._share > 0:
            self._uri = settings.require("mlflow_tracking_uri")
            # for the run's whole length: a thread that changed the environment now and then would disturb others
            self._patience.enter_context(environment(PATIENCE))
            self._thread = Thread(target=self._work, name="liber-traces", daemon=True)
            self._thread.start()

    def keep(self, call_key: str) -> bool:
        """Whether a call is in the sample: by a digest of its key, so the same calls are in every run's."""
        return int(digest(f"trace:{call_key}")[:13], 16) < self._share * 16**13

    def watch(
        self, call: Call[Place], prompt: str, answer: Answer | None, asked_at: datetime, error: str | None
    ) -> None:
        """Record a call that has ended, if it is in the sample; arguments as a loop's `Watch` has them."""
        if self.keep(call.key):
            self.record(
                call_key=call.key, place=call.place, kind=call.kind, prompt=prompt,
                answer_text=answer.text if answer else None, model=self._model,
                server=answer.server if answer else "", prompt_tokens=answer.prompt_tokens if answer else None,
                completion_tokens=answer.completion_tokens if answer else None,
                latency_seconds=answer.latency_seconds if answer else (datetime.now(UTC) - asked_at).total_seconds(),
                started_at=asked_at, error=error,
            )  # fmt: skip

    def record(
        self, *, call_key: str, place: PartitionPlace | ItemPlace, kind: Kind, prompt: str, answer_text: str | None,
        model: str, server: str, prompt_tokens: int | None, completion_tokens: int | None, latency_seconds: float,
        started_at: datetime, error: str | None,
    ) -> None:  # fmt: skip
        """Hand over a finished call, before `close`. One outside the sample is left out. Waits for nothing.

        Args:
            call_key: of the ledger.
            place: what was asked about.
            kind: summary, shift or item.
            prompt: as it was sent.
            answer_text: None where there was no answer.
            model: name sent to the server.
            server: what answered.
            prompt_tokens: None where the server said nothing.
            completion_tokens: likewise.
            latency_seconds: from `started_at` to the answer or the error.
            started_at: with a time zone.
            error: what went wrong; None: nothing.
        """
        if self._thread is None or not self.keep(call_key):
            return
        call = Traced(
            call_key, place, kind, prompt, answer_text, model, server, prompt_tokens, completion_tokens,
            latency_seconds, started_at, error,
        )  # fmt: skip
        with self._wake:
            if len(self._waiting) >= WAITING:
                self._lose(1, f"MLflow takes them too slowly ({WAITING} wait)")
                return
            self._waiting.append(call)
            self._wake.notify()

    def close(self) -> None:
        """Send what waits, for at most `CLOSE_SECONDS`. A second call does nothing."""
        if self._thread is None:
            return
        with self._wake:
            self._closing = True
            self._wake.notify()
        self._thread.join(CLOSE_SECONDS)
        if self._thread.is_alive():
            with self._wake:
                self._lose(len(self._waiting), f"MLflow did not take the last ones within {CLOSE_SECONDS:g} s")
                self._waiting.clear()
        self._thread = None
        self._patience.close()
        if self._lost:
            _log.info("%d MLflow traces were lost.", self._lost)

    def _work(self) -> None:
        """What the thread does until `close`."""
        sender: _Sender | None = None
        while batch := self._next():
            try:
                sender = sender or _Sender(self._uri)
                sender.send(batch, self._tags)
            except Exception as error:  # whatever MLflow brings: a trace is never worth a run
                with self._wake:
                    said = (str(error).splitlines() or [""])[0][:200]
                    self._lose(len(batch), f"MLflow at {self._uri} does not take them ({type(error).__name__}: {said})")
                    if self._wake.wait_for(lambda: self._closing, PAUSE_SECONDS):
                        self._lost += len(self._waiting)
                        return

    def _next(self) -> list[Traced]:
        """Traces to send; waits for one. Empty: closing, and none is left."""
        with self._wake:
            self._wake.wait_for(lambda: self._waiting or self._closing)
            return [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]

    def _lose(self, count: int, reason: str) -> None:
        self._lost += count
        if not self._warned:
            self._warned = True
            _log.warning("MLflow traces are being lost: %s. The run goes on without them.", reason)


def forget(settings: Settings, user_id: str) -> int:
    """Delete every trace of a user, of any run, for good.

    Args:
        settings: `mlflow_tracking_uri`; where it is not set there is nothing to look through.
        user_id: external id.

    Returns:
        Number of traces deleted.

    Raises:
        ServiceUnavailable: MLflow does not answer, or keeps traces that it said it deleted.
    """
    if settings.mlflow_tracking_uri is None:
        return 0
    with connected(settings) as client:
        experiment = client.get_experiment_by_name(EXPERIMENT)
        if experiment is None:
            return 0
        deleted, of_user = 0, f"tags.`{USER_TAG}` = '{digest(user_id)}'"
        while found := _page(client, experiment.experiment_id, of_user):
            gone = client.delete_traces(experiment.experiment_id, trace_ids=found)
            if gone == 0:
                raise ServiceUnavailable(
                    f"MLflow does not delete {len(found)} traces of the user: delete the traces with tag "
                    f"{USER_TAG} {digest(user_id)} in experiment {EXPERIMENT} by hand."
                )
            deleted += gone
        return deleted


def _page(client: "MlflowClient", experiment_id: str, condition: str) -> list[str]:
    found = client.search_traces(locations=[experiment_id], filter_string=condition, max_results=_PAGE,
                                 include_spans=False)  # fmt: skip
    return [trace.info.trace_id for trace in found]


class _Sender:
    """The connection of the thread; importing mlflow and finding the experiment happen once."""

    def __init__(self, uri: str) -> None:
        from mlflow import MlflowClient
        from mlflow.tracing.client import TracingClient

        self._experiment_id = experiment_id(MlflowClient(tracking_uri=uri, registry_uri=uri), EXPERIMENT)
        self._client = TracingClient(uri)

    def send(self, batch: Sequence[Traced], tags: dict[str, str]) -> None:
        """Tags first, texts second: at no moment does MLflow hold a prompt that `forget` would not find."""
        for call in batch:
            self._client.start_trace(trace_info(call, self._experiment_id, tags))
        self._client.log_spans(self._experiment_id, [span(call) for call in batch])
