"""Point-in-time samples -> backbone without and with memory -> MLflow registry (paper, sections 3.4 and 4.1)."""

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from liber_tasks import orchestration as liber


@dag(
    schedule=[liber.INTEREST_VECTORS],
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    tags=["liber", "training"],
    params={
        "backbone": Param(None, type=["null", "string"], description="empty: LIBER_BACKBONE"),
        "seeds": Param(None, type=["null", "integer"], minimum=1, description="paired seeds; empty: LIBER_SEEDS"),
    },
    doc_md="""
    Trains the backbone without and with the memory vector over paired seeds, evaluates both on the latest tenth of
    the behaviours, registers the model with memory in MLflow and moves the alias `champion` to it.

    The same data and settings are trained once: a re-run returns the earlier result. **Do not run** it to compare
    many settings on the test rows; choose on validation.
    """,
)
def train_ctr() -> None:
    """Wire the one training task."""

    @task(outlets=[liber.CTR_MODEL])
    def train() -> dict[str, Any]:
        from liber_tasks import db, learning
        from liber_tasks.training.train import train as train_pairs

        context = get_current_context()
        params = liber.checked(context)
        with liber.clear_errors():
            settings = liber.task_settings(backbone=params["backbone"], seeds=params["seeds"])
            settings = learning.with_version(settings)
            report = train_pairs(db.connect(settings), settings, backbone=settings.backbone, seeds=settings.seeds,
                                 run_labels={"airflow.run": liber.run_name(context)},
                                 progress=liber.log_progress())  # fmt: skip
        return {"model": report.model_name, "version": report.model_version, "reused": report.reused}

    train()


train_ctr()
