"""Challenger beside champion -> approval by a person -> the alias moves (paper, section 3.5: what serves)."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, get_current_context, task

from liber_tasks import orchestration as liber

TIME_TO_ANSWER = timedelta(days=3)


@dag(
    schedule=[liber.CTR_MODEL],
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    tags=["liber", "training"],
    params={"version": Param(None, type=["null", "integer"], minimum=1, description="empty: the challenger")},
    doc_md="""
    Puts the newest model beside the one that serves and waits: a person approves or rejects under *Required Actions*.
    Approved, the alias `champion` moves and `previous` keeps the way back (`liber rollback`). Rejected, or without an
    answer within three days, nothing moves. A challenger that is the champion already asks nobody.

    **Do not run** it to try a model out: load it as `models:/NAME@challenger` or by its version.
    """,
)
def promote_ctr() -> None:
    """Wire compare -> approve -> promote."""

    @task
    def compare() -> dict[str, Any]:
        from airflow.sdk.exceptions import AirflowSkipException

        from liber_tasks.serving import promotion
        from liber_tasks.training import tracking

        params = liber.checked(get_current_context())
        with liber.clear_errors():
            settings = liber.task_settings()
            version = str(params["version"]) if params["version"] else None
            found = promotion.compare(tracking.connect(settings), settings, version)
        if found is None:
            raise AirflowSkipException("The challenger is the champion already.")
        return {"version": found.version, "champion": found.champion, "subject": found.subject(), "text": found.text()}

    approve = ApprovalOperator(
        task_id="approve",
        subject="{{ ti.xcom_pull(task_ids='compare')['subject'] }}",
        body="{{ ti.xcom_pull(task_ids='compare')['text'] }}",
        defaults=ApprovalOperator.REJECT,  # what no answer means
        response_timeout=TIME_TO_ANSWER,
    )

    @task
    def promote(compared: dict[str, Any]) -> dict[str, Any]:
        from liber_tasks.serving import promotion
        from liber_tasks.training import tracking

        with liber.clear_errors():
            settings = liber.task_settings()
            moved = promotion.promote(
                tracking.connect(settings), settings, compared["version"], instead_of=compared["champion"]
            )
        return {"champion": moved.champion, "previous": moved.previous, "changed": moved.changed}

    compared = compare()
    compared >> approve >> promote(compared)


promote_ctr()
