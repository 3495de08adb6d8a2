"""Users out of every table, and refused from then on."""

import logging
from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from liber_tasks import orchestration as liber


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    deadline=liber.deadline(),
    tags=["liber", "maintenance"],
    params={
        "users": Param([], type="array", items={"type": "string", "minLength": 1}, description="external ids"),
    },
    doc_md="""
    Erases users: behaviours, partitions, texts, vectors, profile, exposures and metrics go, and what comes of them
    later is refused until `liber readmit`. Each user is one transaction; a retry goes on with those that are left.
    MLflow traces of calls about them are deleted too. The task says which registered models were trained on their data:
    erasure cannot rewrite a model.

    **Do not run** it to correct a user's data (there is no way back but loading it anew), nor as the last step where
    ids must not stay anywhere: this run's configuration keeps them in Airflow's metadata until the run is deleted
    there (`airflow db clean`); `liber erase USER` leaves no such trace. Deleted rows leave the disk by VACUUM, and
    backups when they expire.
    """,
)
def erase_user() -> None:
    """Wire the one task."""

    @task
    def erase() -> dict[str, Any]:
        from liber_tasks import db, learning
        from liber_tasks.behavior.erase import erase as erase_one
        from liber_tasks.behavior.erase_models import models_holding

        params, settings = liber.checked(get_current_context()), liber.task_settings()
        users, told = list(dict.fromkeys(params["users"])), liber.log_progress()
        found = 0
        engine = db.connect(settings)
        for done, user in enumerate(users, 1):  # no id in logs or XCom
            found += erase_one(engine, user).found
            told(done, len(users), "users erased")
        traces = learning.forget_traces(settings, users)
        holding = models_holding(settings, users)
        logging.getLogger("liber").warning("Registered models that were trained on their data: %s", holding)
        return {"users": len(users), "found": found, "traces": traces, "models": list(holding.versions)}

    erase()


erase_user()
