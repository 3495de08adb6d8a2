"""What a stack tells others: alerts, lineage and metrics, received by servers of the tests."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.receivers import Posts, http_receiver, udp_receiver

DEADLINE = timedelta(seconds=1)


@dataclass(frozen=True)
class Told:
    """Everything received so far, and the settings that made Airflow send it here."""

    alerts: Posts
    lineage: Posts
    metrics: list[str]
    variables: dict[str, str]

    def alert(self, kind: str, dag: str, seconds: float) -> dict[str, Any]:
        """The first alert of a kind about a DAG, waited for."""
        deadline = time.monotonic() + seconds
        while True:
            found = [body for body in self.alerts.bodies if (body["kind"], body["dag"]) == (kind, dag)]
            if found:
                return found[0]
            assert time.monotonic() < deadline, self.alerts.bodies
            time.sleep(0.2)

    def completed(self) -> set[str]:
        """Jobs (DAGs and tasks) whose end OpenLineage was told."""
        return {event["job"]["name"] for event in self.lineage.bodies if event["eventType"] == "COMPLETE"}

    def measured(self, metric: str) -> set[str]:
        """DAGs that StatsD got a metric of: airflow.METRIC.DAG:VALUE|TYPE."""
        prefix = f"airflow.{metric}."
        lines = [line for datagram in self.metrics for line in datagram.splitlines()]
        return {line.removeprefix(prefix).split(":")[0] for line in lines if line.startswith(prefix)}


@contextmanager
def receivers() -> Iterator[Told]:
    """Receivers of alerts, of OpenLineage's events and of StatsD's datagrams."""
    with http_receiver() as alerts, http_receiver() as lineage, udp_receiver() as (port, metrics):
        yield Told(alerts, lineage, metrics, {
            "LIBER_ALERT_URL": alerts.url,
            "LIBER_DEADLINE": f"{DEADLINE.seconds}s",
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "http", "url": lineage.url, "endpoint": "lineage"}),
            "AIRFLOW__METRICS__STATSD_ON": "True",
            "AIRFLOW__METRICS__STATSD_HOST": "127.0.0.1",
            "AIRFLOW__METRICS__STATSD_PORT": str(port),
        })  # fmt: skip
