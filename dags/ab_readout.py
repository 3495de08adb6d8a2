"""Exposures + plays -> per-user metrics -> readout of a day -> alarms; at the end calibration (paper, 4.4.2)."""

from airflow.sdk import CronPartitionTimetable, Param, dag, get_current_context, task

from liber_tasks import orchestration as liber
from liber_tasks.errors import LiberError


@dag(
    # keyed by the day before which it reads; three hours for the last plays of a day to arrive
    schedule=CronPartitionTimetable("0 3 * * *", timezone="UTC", key_format="%Y-%m-%d"),
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    deadline=liber.deadline(),
    tags=["liber", "experiment"],
    params={
        "experiment": Param(None, type=["null", "string"], minLength=1, description="empty: every one that runs"),
        "simulate": Param(False, type="boolean", description="first plant the paper's lifts, SIMULATED"),
        "watermark": Param(None, type=["null", "string"], format="date-time", description="empty: the run's key"),
    },
    doc_md="""
    Every day: materialises plays per user, tests the split (SRM), reads every experiment that runs, and fails loudly
    where a split is broken or a guardrail breached. A run's partition key is the day before which it reads: a backfill
    reads past days, each once, and a day that was read changes nothing.
    After an experiment's end: A/A calibration of its methods, and the record in MLflow.

    **Do not run** it every hour until something is significant: planned looks have bands that hold for them alone.
    With `simulate` the numbers show that the readout works; they say nothing about anybody's users.
    """,
)
def ab_readout() -> None:
    """Wire due -> readout -> alarms, and readout -> finish."""

    @task
    def due() -> list[str]:
        from liber_tasks.experiment import daily

        params = liber.checked(get_current_context())
        found = daily.due(liber.task_settings(), params, liber.watermark(get_current_context()), liber.log_progress())
        if not found:
            raise liber.AirflowSkipException("No experiment runs on this day.")
        return found

    @task(outlets=[liber.AB_READOUT])
    def readout(experiment: str) -> str:
        from liber_tasks.experiment import daily

        context = get_current_context()
        day = daily.read(liber.task_settings(), experiment, liber.watermark(context), liber.log_progress())
        liber.tell(context, liber.AB_READOUT, experiment=experiment, day=day.rpartition("@")[2], key=day)
        return day

    @task
    def alarms(day: str) -> None:
        from liber_tasks.experiment import daily

        if found := daily.alarms_of(liber.task_settings(), day):
            raise LiberError(" ".join(found))

    @task
    def finish(day: str) -> None:
        from liber_tasks.experiment import daily

        if not daily.finish(liber.task_settings(), day, liber.log_progress()):
            raise liber.AirflowSkipException("The experiment is not over.")

    days = readout.expand(experiment=due())
    alarms.expand(day=days)
    finish.expand(day=days)


ab_readout()
