"""Old texts, raw rejected rows and closed ledger rows leave the database."""

from typing import Any

from airflow.sdk import CronTriggerTimetable, Param, dag, get_current_context, task

from liber_tasks import orchestration as liber


@dag(
    schedule=CronTriggerTimetable("0 4 * * *", timezone="UTC"),
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    deadline=liber.deadline(),
    tags=["liber", "maintenance"],
    params={
        "older_than": Param(None, type=["null", "string"], pattern=r"^\d+(\.\d+)?[smhd]$",
                            description="365d; empty: LIBER_RETAIN_TEXTS, _REJECTED and _CALLS"),
        "policy": Param(None, type=["null", "string"], enum=[None, "texts", "all"],
                        description="all: vectors go with their texts; empty: LIBER_RETAIN_POLICY"),
        "dry_run": Param(False, type="boolean", description="count, change nothing"),
    },
    doc_md="""
    Every day: removes texts about partitions that were sealed long ago, raw text of rejected rows, and closed rows of
    the ledger of LLM calls, by the ages that `LIBER_RETAIN_*` set. With none set the run is skipped. Nothing removed is
    asked for again; vectors stay unless the policy is `all`. What goes is counted in the table `retention`.

    **Do not run** it by hand without `dry_run` first: there is no way back but asking the LLM anew, and a partition too
    old for a text gets none from a new knowledge version either. It is no erasure of a user: that is `erase_user`.
    """,
)  # fmt: skip
def retain_texts() -> None:
    """Wire the one task."""

    @task
    def retain() -> dict[str, Any]:
        from liber_tasks import db
        from liber_tasks.config import duration
        from liber_tasks.retention import bounds_of
        from liber_tasks.retention import retain as remove

        params, settings = liber.checked(get_current_context()), liber.task_settings()
        age = duration(params["older_than"]) if params["older_than"] else None
        ages = (age, settings.retain_texts, settings.retain_rejected, settings.retain_calls)
        if not any(ages):
            raise liber.AirflowSkipException("No age is set: LIBER_RETAIN_TEXTS, _REJECTED, _CALLS.")
        engine = db.connect(settings)
        bounds = bounds_of(settings, now=db.clock(engine), older_than=age, policy=params["policy"])
        return remove(engine, bounds, dry_run=params["dry_run"], progress=liber.log_progress()).to_dict()

    retain()


retain_texts()
