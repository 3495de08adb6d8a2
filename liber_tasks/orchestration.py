"""Between Airflow and the stages: assets and their events, settings from Connections, checked parameters.

With `orchestration_failures` the only module of the package that imports Airflow, and only its task SDK.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk import Asset, Connection, Param
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

from liber_tasks.config import Settings, load, settings
from liber_tasks.errors import InputError
from liber_tasks.learning import in_flight
from liber_tasks.orchestration_failures import DAG_DEFAULTS as DAG_DEFAULTS
from liber_tasks.orchestration_failures import deadline as deadline
from liber_tasks.types import Progress

ITEMS = Asset("liber://items")
PARTITIONS = Asset("liber://partitions")
ITEM_VECTORS = Asset("liber://item_vectors")
INTEREST_VECTORS = Asset("liber://interest_vectors")
CTR_MODEL = Asset("liber://ctr_model")
AB_READOUT = Asset("liber://ab_readout")

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
    of_process = settings()
    return {
        "pool": LLM_POOL,
        "pool_slots": in_flight(of_process),
        "max_active_tis_per_dagrun": of_process.learn_shards,
    }


def checked(context: Mapping[str, Any]) -> dict[str, Any]:
    """The run's parameters.

    Raises:
        InputError: the run was triggered with a key the DAG does not have; Airflow itself would ignore it.
    """
    params = dict(context["params"])
    unknown = set(context["dag_run"].conf or {}) - set(context["dag"].params)
    if unknown:
        known = ", ".join(sorted(context["dag"].params))
        raise InputError(f"Unknown parameter {', '.join(sorted(unknown))}: this DAG has {known}.")
    return params


def watermark(context: Mapping[str, Any]) -> datetime | None:
    """Moment up to which a run reads: its parameter, or the day it is keyed by; None: the newest."""
    given = context["params"]["watermark"]
    return datetime.fromisoformat(given) if given else context["dag_run"].partition_date


def run_name(context: Mapping[str, Any]) -> str:
    """How ledgers and MLflow name this run."""
    return f"{context['dag'].dag_id}/{context['dag_run'].run_id}"


def announce(context: Mapping[str, Any], asset: Asset, **extra: Any) -> int:
    """Number of rows the run has brought to `asset`; skips the task, and so its asset event, when there is none.

    Counted in the database, so that a task that died after its commit and found nothing on its retry loses no event.
    The event carries the counts, the versions and `extra`.
    """
    from liber_tasks.db import connect, database_errors, query

    what = asset.name.removeprefix("liber://")
    with database_errors(), connect(task_settings()).connect() as connection:
        since = {"since": context["dag_run"].start_date}
        brought = connection.execute(query(f"announce/{what}"), since).mappings().one()
    if not brought["rows"]:
        raise AirflowSkipException(f"This run brought no {what.replace('_', ' ')}.")
    tell(context, asset, **brought, **extra)
    return int(brought["rows"])


def tell(context: Mapping[str, Any], asset: Asset, **extra: Any) -> None:
    """What the event of `asset`, an outlet of the running task, says besides: ids, counts, versions; no data."""
    context["outlet_events"][asset].extra.update(extra)


def log_progress() -> Progress:
    """Progress as log lines, one a tenth of the way."""
    logger, last = logging.getLogger("liber.progress"), {"label": "", "tenth": -1}

    def show(done: int, total: int | None, label: str) -> None:
        tenth = done * 10 // total if total else done // 1000
        if (label, tenth) != (last["label"], last["tenth"]):
            last.update(label=label, tenth=tenth)
            logger.info("%s: %s of %s", label, done, total if total is not None else "?")

    return show
