"""Between Airflow and the stages: assets, settings from Connections, checked parameters, errors that end a task.

The only module of the package that imports Airflow, and only its task SDK.
"""

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any, Literal

from airflow.sdk import Asset, Connection, Param
from airflow.sdk.exceptions import AirflowFailException, AirflowNotFoundException, AirflowSkipException

from liber_tasks.config import Settings, load
from liber_tasks.errors import InputError, LiberError
from liber_tasks.learning import in_flight
from liber_tasks.types import Progress

ITEMS = Asset("liber://items")
PARTITIONS = Asset("liber://partitions")
ITEM_VECTORS = Asset("liber://item_vectors")
INTEREST_VECTORS = Asset("liber://interest_vectors")
CTR_MODEL = Asset("liber://ctr_model")
AB_READOUT = Asset("liber://ab_readout")

DAG_DEFAULTS: dict[str, Any] = {"owner": "liber", "retries": 2, "retry_delay": timedelta(seconds=20)}
LLM_POOL = "llm"

_CALL_PARAMS: dict[str, Param] = {
    "max_calls": Param(None, type=["null", "integer"], minimum=0, description="empty: LIBER_LEARN_MAX_CALLS"),
    "max_tokens": Param(None, type=["null", "integer"], minimum=0, description="empty: LIBER_LEARN_MAX_TOKENS"),
    "max_time": Param(None, type=["null", "string"], pattern=r"^\d+(\.\d+)?[smhd]$",
                      description="90s, 30m, 12h; empty: LIBER_LEARN_MAX_TIME"),
}  # fmt: skip
BUDGET_PARAMS = {
    "max_users": Param(None, type=["null", "integer"], minimum=0, description="empty: LIBER_LEARN_MAX_USERS")
} | _CALL_PARAMS
ITEM_BUDGET_PARAMS = {
    "max_items": Param(None, type=["null", "integer"], minimum=0, description="empty: LIBER_LEARN_MAX_ITEMS")
} | _CALL_PARAMS
RETRY_PARAM = {"retry_quarantined": Param(False, type="boolean", description="ask again what the server refused")}

CONNECTIONS = {"database_url": "liber_postgres", "llm_url": "liber_llm", "mlflow_tracking_uri": "liber_mlflow"}


def task_settings(**parameters: Any) -> Settings:
    """Settings inside a task: the run's `parameters` (None: not given), Airflow's Connections, the environment."""
    found = {field: value for field, value in parameters.items() if value is not None}
    for field, connection_id in CONNECTIONS.items():
        if field in found:
            continue
        try:
            found[field] = Connection.get(connection_id).get_uri()
        except AirflowNotFoundException:
            continue
    return load(**found)


def budgets(params: Mapping[str, Any]) -> dict[str, Any]:
    """The run's `BUDGET_PARAMS` or `ITEM_BUDGET_PARAMS` as settings."""
    return {f"learn_{name}": params[name] for name in BUDGET_PARAMS | ITEM_BUDGET_PARAMS if name in params}


def llm_task() -> dict[str, Any]:
    """How a mapped task that calls the LLM runs: in the pool, with a slot for each call in flight."""
    settings = load()
    return {
        "pool": LLM_POOL,
        "pool_slots": in_flight(settings),
        "max_active_tis_per_dagrun": settings.learn_shards,
    }


def checked(context: Mapping[str, Any]) -> dict[str, Any]:
    """The run's parameters.

    Raises:
        AirflowFailException: the run was triggered with a key the DAG does not have; Airflow itself would ignore it.
    """
    params = dict(context["params"])
    unknown = set(context["dag_run"].conf or {}) - set(context["dag"].params)
    if unknown:
        known = ", ".join(sorted(context["dag"].params))
        raise AirflowFailException(f"Unknown parameter {', '.join(sorted(unknown))}: this DAG has {known}.")
    return params


def watermark(context: Mapping[str, Any]) -> datetime | None:
    """Moment up to which a run reads: its parameter, or what it was scheduled or backfilled for; None: the newest."""
    if given := context["params"]["watermark"]:
        return datetime.fromisoformat(given)
    run = context["dag_run"]
    return None if run.run_type == "manual" else run.logical_date


def run_time(context: Mapping[str, Any]) -> datetime:
    """When the run was due, and never later than now by the database's clock: what is not there yet is not complete."""
    from liber_tasks.db import clock, connect

    with clear_errors():
        return min(context["dag_run"].run_after, clock(connect(task_settings())))


def run_name(context: Mapping[str, Any]) -> str:
    """How ledgers and MLflow name this run."""
    return f"{context['dag'].dag_id}/{context['dag_run'].run_id}"


@contextmanager
def clear_errors() -> Iterator[None]:
    """Bad input ends the task at once; a service that is away is retried; both in one sentence."""
    try:
        yield
    except InputError as error:
        raise AirflowFailException(str(error)) from None
    except LiberError as error:
        logging.getLogger(__name__).error("%s", error)
        raise


def announce(context: Mapping[str, Any], what: Literal["items", "partitions", "vectors", "item_vectors"]) -> int:
    """Number of rows that no run has announced yet; skips the task, and so its asset event, when there is none.

    Counted in the database and by its clock: a task that died after its commit and found nothing on its retry, a run
    that failed before it came here, and a machine whose clock is wrong lose no event.
    """
    from liber_tasks.db import connect, database_errors, query

    with clear_errors(), database_errors(), connect(task_settings()).begin() as connection:
        run = {"run": run_name(context)}
        brought = int(connection.execute(query(f"announce/{what}"), run).scalar_one())
        if brought:
            connection.execute(query("announce/keep"), {"what": what, **run})
    if not brought:
        raise AirflowSkipException(f"There are no new {what.replace('_', ' ')}.")
    return brought


def log_progress() -> Progress:
    """Progress as log lines, one a tenth of the way."""
    logger, last = logging.getLogger("liber.progress"), {"label": "", "tenth": -1}

    def show(done: int, total: int | None, label: str) -> None:
        tenth = done * 10 // total if total else done // 1000
        if (label, tenth) != (last["label"], last["tenth"]):
            last.update(label=label, tenth=tenth)
            logger.info("%s: %s of %s", label, done, total if total is not None else "?")

    return show
