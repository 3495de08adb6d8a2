"""Stores the values of an experiment's own metrics per user and day, beside those that are built in."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from liber_tasks.errors import InputError
from liber_tasks.experiment.custom_metric import around
from liber_tasks.experiment.plan import Metric


def store_days(connection: Connection, metrics: Sequence[Metric], parameters: dict[str, Any]) -> int:
    """Values added or corrected.

    Args:
        connection: in the transaction that materialises an experiment.
        metrics: the experiment's own.
        parameters: of `experiment/materialise_custom.sql`, without the metric.

    Raises:
        InputError: the SQL of a metric fails; names it.
    """
    stored = 0
    for metric in metrics:
        try:
            stored += connection.execute(
                around(metric, "materialise_custom"), {**parameters, "metric": metric.name}
            ).rowcount
        except DBAPIError as error:
            if error.connection_invalidated:
                raise
            said = str(error.orig).strip().splitlines()[0]
            raise InputError(
                f"Metric {metric.name!r}: its SQL fails: {said}. Correct it in a new experiment; the definition "
                "of one that runs is fixed."
            ) from None
    return stored
