"""What happens when a task fails or a run is late: which errors are tried again, and who hears of it."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule

from liber_tasks.alerts import Alert, send, sentence
from liber_tasks.config import load, settings
from liber_tasks.errors import LiberError, ServiceUnavailable

if TYPE_CHECKING:
    from airflow.sdk.definitions.deadline import DeadlineAlert

RETRY_POLICY = ExceptionRetryPolicy(
    [
        RetryRule(ServiceUnavailable, RetryAction.RETRY, reason="A service is away: tried again, later each time."),
        RetryRule(LiberError, RetryAction.FAIL, reason="Somebody has to act: trying again would change nothing."),
    ]
)  # anything else, a broken connection or a killed process, is tried again as well


def task_failed(context: Mapping[str, Any]) -> None:
    """Alert for a task that has failed and is not tried again; a call-back of Airflow."""
    ti, error = context["ti"], context.get("exception")
    mapped = f"[{ti.map_index}]" if ti.map_index is not None and ti.map_index >= 0 else ""
    send(Alert("task_failed", ti.dag_id, ti.run_id, f"{ti.task_id}{mapped}", sentence(error), ti.log_url), load())


async def deadline_missed(context: Mapping[str, Any]) -> None:
    """Alert for a run that has not ended within LIBER_DEADLINE; the triggerer calls it back."""
    from airflow.sdk import conf

    found, run = load(), context["dag_run"]
    dag_id, run_id = run["dag_id"], run["dag_run_id"]
    link = f"{conf.get('api', 'base_url', fallback='').rstrip('/')}/dags/{dag_id}/runs/{quote(run_id)}"
    late = f"it has not ended within {found.deadline} (LIBER_DEADLINE)"
    await asyncio.to_thread(send, Alert("deadline_missed", dag_id, run_id, None, late, link), found)


def deadline() -> "DeadlineAlert | None":
    """When a run of a DAG is late: LIBER_DEADLINE after it was queued; None: never."""
    longest = settings().deadline
    if longest is None:
        return None
    from airflow.sdk.definitions.callback import AsyncCallback
    from airflow.sdk.definitions.deadline import DeadlineAlert, DeadlineReference

    return DeadlineAlert(DeadlineReference.DAGRUN_QUEUED_AT, longest, AsyncCallback(deadline_missed))


DAG_DEFAULTS: dict[str, Any] = {
    "owner": "liber",
    "retries": settings().task_retries,
    "retry_delay": timedelta(seconds=10),
    "retry_exponential_backoff": 2,
    "max_retry_delay": timedelta(minutes=10),
    "retry_policy": RETRY_POLICY,
    "on_failure_callback": task_failed,
}
