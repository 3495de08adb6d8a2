"""Alerts reach a real receiver, say enough to act on, and never make things worse."""

import logging
import sqlite3
from dataclasses import replace

import pytest

from liber_tasks.alerts import KILLED, Alert, send, sentence
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, ServiceUnavailable
from tests.conftest import free_port
from tests.receivers import http_receiver

ALERT = Alert("task_failed", "train_ctr", "manual__1", "train", "MLflow is away.", "http://airflow/dags/train_ctr")


def settings(url: str | None) -> Settings:
    return Settings(_env_file=None, alert_url=url)


def test_an_alert_says_what_failed_where_and_why_to_programs_and_to_people() -> None:
    with http_receiver() as posts:
        assert send(ALERT, settings(posts.url))
    (body,) = posts.bodies
    assert {name: body[name] for name in ("kind", "dag", "run", "task", "error", "link")} == {
        "kind": "task_failed", "dag": "train_ctr", "run": "manual__1", "task": "train", "error": "MLflow is away.",
        "link": "http://airflow/dags/train_ctr",
    }  # fmt: skip
    assert body["text"] == (
        "task failed: train_ctr, task train, run manual__1: MLflow is away. http://airflow/dags/train_ctr"
    )


def test_an_alert_of_a_run_names_no_task() -> None:
    late = replace(ALERT, kind="deadline_missed", task=None)
    assert late.text.startswith("deadline missed: train_ctr, run manual__1: ")


def test_without_a_receiver_the_log_has_it(caplog: pytest.LogCaptureFixture) -> None:
    assert not send(ALERT, settings(None))
    assert [(record.levelno, record.getMessage()) for record in caplog.records] == [(logging.ERROR, ALERT.text)]


@pytest.mark.parametrize("address", ["refuses", "is away", "is no address"])
def test_a_receiver_that_fails_is_a_warning_that_keeps_its_address_secret(
    address: str, caplog: pytest.LogCaptureFixture
) -> None:
    with http_receiver() as posts:
        posts.status = 500
        urls = {"refuses": posts.url, "is away": f"http://127.0.0.1:{free_port()}", "is no address": "hooks"}
        assert not send(ALERT, settings(f"{urls[address]}/s3cret"))
    warning = caplog.records[-1]
    assert warning.levelno == logging.WARNING
    assert "LIBER_ALERT_URL" in warning.getMessage()
    assert "s3cret" not in caplog.text


def test_an_alert_quotes_our_own_words_only() -> None:
    assert sentence(InputError("Row 7 has no item_id.")) == "Row 7 has no item_id."
    assert sentence(ServiceUnavailable("MLflow is away.")) == "MLflow is away."
    assert sentence(sqlite3.IntegrityError("user_id=(alice)")) == "IntegrityError: see the task's log"
    assert sentence(None) == KILLED
