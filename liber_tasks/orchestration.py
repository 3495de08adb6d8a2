"""Between Airflow and the stages: assets and their events, settings from Connections, checked parameters.

With `orchestration_failures` the only module of the package that imports Airflow, and only its task SDK.
"""

import logging
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow.sdk import Asset, Connection, Param, get_current_context
from airflow.sdk.exceptions import AirflowNotFoundException, AirflowSkipException

from liber_tasks import logs
from liber_tasks.config import Settings, load, settings
from liber_tasks.errors import InputError
from liber_tasks.learning import in_flight
from liber_tasks.mlflow_client import login_apart
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
# Database role of a DAG's tasks, or of one: Connection liber_postgres_ROLE where there is one, else liber_postgres.
ROLES = {
    "ingest_behaviors": "ingest",
    "learn_interests": "learner",
    "learn_items": "learner",
    "backfill_knowledge": "learner",
    "train_ctr": "trainer",
    "train_ctr.candidates": "learner",  # has new items encoded
    "promote_ctr": "trainer",
    "ab_readout": "experimenter",
    "erase_user": None,  # every table is the owner's
    "retain_texts": None,
}


def task_settings(**parameters: Any) -> Settings:
    """Settings inside a task: the run's `parameters` (None: not given), Airflow's Connections, the environment.

    What the task logs from here on names it.
    """
    logs.bind(**_where())
    found = {field: value for field, value in parameters.items() if value is not None}
    for field, connection_id in CONNECTIONS.items():
        role = _role() if field == "database_url" else None
        if field not in found and (uri := _uri(connection_id, role)):
            found[field] = uri
    if "mlflow_tracking_uri" in found:
        found["mlflow_tracking_uri"] = login_apart(found["mlflow_tracking_uri"])
    return load(**found)


def _uri(connection_id: str, role: str | None = None) -> str | None:
    """Address of Airflow's Connection for a database role, else of the one for all; None: there is neither."""
    for name in (f"{connection_id}_{role}", connection_id) if role else (connection_id,):
        try:
            return str(Connection.get(name).get_uri())
        except AirflowNotFoundException:
            continue
    return None


def _role() -> str | None:
    """Database role of the running task; None: the owner's."""
    try:
        task = get_current_context()["task"]
    except RuntimeError:  # outside a task
        return None
    return ROLES.get(f"{task.dag_id}.{task.task_id}", ROLES.get(task.dag_id))


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


def run_time(context: Mapping[str, Any]) -> datetime:
    """When the run was due, and never later than now by the database's clock: what is not there yet is not complete."""
    from liber_tasks.db import clock, connect

    return min(context["dag_run"].run_after, clock(connect(task_settings())))


def run_name(context: Mapping[str, Any]) -> str:
    """How ledgers and MLflow name this run."""
    return f"{context['dag'].dag_id}/{context['dag_run'].run_id}"


def _where() -> dict[str, Any]:
    """What a task's log lines carry; nothing outside a task."""
    try:
        context = get_current_context()
    except RuntimeError:
        return {}
    return {"run": run_name(context), "task": context["ti"].task_id}


def announce(context: Mapping[str, Any], asset: Asset, **extra: Any) -> int:
    """Number of rows of `asset` that no run has announced yet; skips the task, and so its asset event, for none.

    Counted in the database and by its clock: a task that died after its commit and found nothing on its retry, a run
    that failed before it came here, and a machine whose clock is wrong lose no event. The event carries the counts, the
    versions and `extra`.
    """
    from liber_tasks.db import connect, database_errors, query
    from liber_tasks.status.stored import keep_fresh

    what, run = asset.name.removeprefix("liber://"), {"run": run_name(context)}
    with database_errors():
        with connect(task_settings()).begin() as connection:
            brought = connection.execute(query(f"announce/{what}"), run).mappings().one()
            if brought["rows"]:
                connection.execute(query("announce/keep"), {"what": what, **run})
        observer = task_settings(database_url=_uri(CONNECTIONS["database_url"], "observer"))
        keep_fresh(connect(observer), observer)
    if not brought["rows"]:
        raise AirflowSkipException(f"There are no new {what.replace('_', ' ')}.")
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
