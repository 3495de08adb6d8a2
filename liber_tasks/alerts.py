"""Alerts: a sentence in the log, and the same as JSON to the webhook of LIBER_ALERT_URL. Knows nothing of Airflow."""

import json
import logging
import urllib.request
from dataclasses import asdict, dataclass
from typing import Literal
from urllib.error import HTTPError

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError

PATIENCE = 10  # seconds the receiver may take
KILLED = "its process ended without an error: killed, or out of memory"
_log = logging.getLogger("liber.alerts")


@dataclass(frozen=True)
class Alert:
    """What somebody should look at. Holds no data of a user and no secret."""

    kind: Literal["task_failed", "deadline_missed"]
    dag: str
    run: str
    task: str | None  # None: the run as a whole
    error: str  # one sentence
    link: str  # to the run or the task's log in Airflow's web UI

    @property
    def text(self) -> str:
        """The alert in one line, as chat programs show the key `text` of a webhook."""
        where = self.dag if self.task is None else f"{self.dag}, task {self.task}"
        return f"{self.kind.replace('_', ' ')}: {where}, run {self.run}: {self.error} {self.link}"


def sentence(error: BaseException | str | None) -> str:
    """What an alert may say of an error: our own words; of anybody else's the class, for they may quote data."""
    if error is None:
        return KILLED
    if isinstance(error, LiberError):
        return str(error)
    return f"{type(error).__name__}: see the task's log"


def send(alert: Alert, settings: Settings) -> bool:
    """Log the alert and post it; whether the receiver took it. Never raises: an alert must not add to the trouble.

    Args:
        alert: what happened.
        settings: `alert_url`; without one there is the log only.
    """
    _log.error("%s", alert.text)
    if settings.alert_url is None:
        return False
    body = json.dumps({**asdict(alert), "text": alert.text}).encode()
    try:
        request = urllib.request.Request(
            settings.alert_url.get_secret_value(), data=body, headers={"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=PATIENCE):
            return True
    except (OSError, ValueError) as error:  # the address is a secret with many receivers, and errors may quote it
        reason = f"status {error.code}" if isinstance(error, HTTPError) else type(error).__name__
        _log.warning("The receiver of LIBER_ALERT_URL did not take the alert (%s).", reason)
        return False
