"""A late run alerts: the call-back of the deadline, run by the trigger that Airflow's triggerer runs it with."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta

import pytest
from airflow.triggers.callback import CallbackTrigger

from liber_tasks.config import settings
from liber_tasks.orchestration_failures import deadline
from tests.receivers import http_receiver

RUN = {"dag_id": "train_ctr", "dag_run_id": "manual__2026-01-31T00:00:00+00:00", "conf": {"users": ["alice"]}}


@pytest.fixture(autouse=True)
def _settings_are_read_anew() -> Iterator[None]:
    settings.cache_clear()
    yield
    settings.cache_clear()


def test_without_a_setting_no_run_is_late(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LIBER_DEADLINE", raising=False)
    assert deadline() is None


def test_a_late_run_alerts_and_its_parameters_stay_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "http://airflow/")
    monkeypatch.setenv("LIBER_DEADLINE", "2h")
    with http_receiver() as posts:
        monkeypatch.setenv("LIBER_ALERT_URL", posts.url)
        alert = deadline()
        assert alert is not None
        assert alert.interval == timedelta(hours=2)
        assert asyncio.run(_states(CallbackTrigger(alert.callback.path, {"context": {"dag_run": RUN}}))) == [
            "running", "success"
        ]  # fmt: skip
    (body,) = posts.bodies
    assert (body["kind"], body["dag"], body["task"]) == ("deadline_missed", "train_ctr", None)
    assert body["error"] == "it has not ended within 2:00:00 (LIBER_DEADLINE)"
    assert body["link"] == "http://airflow/dags/train_ctr/runs/manual__2026-01-31T00%3A00%3A00%2B00%3A00"
    assert "alice" not in str(body)


async def _states(trigger: CallbackTrigger) -> list[str]:
    return [str(event.payload["state"]) async for event in trigger.run()]
