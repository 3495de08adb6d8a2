"""Exposures + plays -> per-user metrics -> lift with intervals (paper, section 4.4.2)."""

from airflow.sdk import Param, dag, get_current_context, task

from liber_tasks import orchestration as liber


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    tags=["liber", "experiment"],
    params={
        "experiment": Param("liber-memory-simulated", type="string", minLength=1, description="its name"),
        "simulate": Param(False, type="boolean", description="first plant the paper's lifts, SIMULATED"),
        "watermark": Param(None, type=["null", "string"], format="date-time", description="empty: newest data"),
    },
    doc_md="""
    Materialises plays per user and day, tests the split (SRM) and reads out the lift of play count and play time.

    **Do not run** it every hour until something is significant: the intervals are for one look at the end.
    With `simulate` the numbers show that the readout works; they say nothing about anybody's users.
    """,
)
def ab_readout() -> None:
    """Wire simulate -> readout."""

    @task
    def prepare() -> bool:
        from liber_tasks import db
        from liber_tasks.experiment.simulate import simulate

        params, settings = liber.checked(get_current_context()), liber.task_settings()
        if not params["simulate"]:
            return False
        with liber.clear_errors():
            return simulate(db.connect(settings), name=params["experiment"], progress=liber.log_progress()).created

    @task(outlets=[liber.AB_READOUT])
    def readout() -> str:
        from datetime import datetime

        from liber_tasks import db
        from liber_tasks.experiment.readout import readout as read

        params, settings = get_current_context()["params"], liber.task_settings()
        given = params["watermark"]
        with liber.clear_errors():
            read(db.connect(settings), params["experiment"], watermark=datetime.fromisoformat(given) if given else None,
                 progress=liber.log_progress())  # fmt: skip
        return params["experiment"]

    prepare() >> readout()


ab_readout()
