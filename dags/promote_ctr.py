"""Challenger beside champion -> approval by a person -> the alias moves (paper, section 3.5: what serves)."""

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, dag, get_current_context, task

from liber_tasks import orchestration as liber

TIME_TO_ANSWER = timedelta(days=3)


def comparison(version: str | None) -> Any:
    """The version beside the champion, asked anew for what a person is shown: XComs hold ids only."""
    from liber_tasks.serving import promotion
    from liber_tasks.training import tracking

    settings = liber.task_settings()
    return promotion.compare(tracking.connect(settings), settings, version)


@dag(
    schedule=[liber.CTR_MODEL],
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    user_defined_macros={"comparison": comparison},
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
        version = liber.checked(get_current_context())["version"]
        found = comparison(str(version) if version else None)
        if found is None:
            raise liber.AirflowSkipException("The challenger is the champion already.")
        return {"version": found.version, "champion": found.champion}

    approve = ApprovalOperator(
        task_id="approve",
        subject="{{ comparison(ti.xcom_pull(task_ids='compare')['version']).subject() }}",
        body="{{ comparison(ti.xcom_pull(task_ids='compare')['version']).text() }}",
        defaults=ApprovalOperator.REJECT,  # what no answer means
        response_timeout=TIME_TO_ANSWER,
    )

    @task
    def promote(compared: dict[str, Any]) -> dict[str, Any]:
        from liber_tasks.serving import promotion
        from liber_tasks.training import tracking

        settings = liber.task_settings()
        moved = promotion.promote(
            tracking.connect(settings), settings, compared["version"], instead_of=compared["champion"]
        )
        return {"champion": moved.champion, "previous": moved.previous, "changed": moved.changed}

    compared = compare()
    compared >> approve >> promote(compared)


promote_ctr()
