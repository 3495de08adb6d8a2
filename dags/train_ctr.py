"""Point-in-time samples -> backbone without and with memory -> MLflow registry (paper, sections 3.4 and 4.1)."""

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from liber_tasks import config, training_jobs
from liber_tasks import orchestration as liber

LIST = ["null", "array"]


@dag(
    schedule=[liber.INTEREST_VECTORS],
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    deadline=liber.deadline(),
    tags=["liber", "training"],
    params={
        "backbone": Param(None, type=["null", "string"], description="empty: LIBER_BACKBONE"),
        "options": Param(None, type=LIST, description="what the memory adds; empty: LIBER_MODEL_OPTIONS"),
        "seeds": Param(None, type=["null", "integer"], minimum=1, description="paired seeds; empty: LIBER_SEEDS"),
        "grid": Param({}, type="object", description='values to try, such as {"learning_rate": [0.001, 0.0005]}'),
        "bundle": Param(False, type="boolean", description="the model carries the features of all users"),
    },
    doc_md="""
    Trains the backbone without and with the memory over paired seeds, evaluates both on the latest tenth of the
    behaviours, registers the model with memory in MLflow as `challenger`. What serves is the `champion`, which only an
    approval in `promote_ctr` moves. With a `grid`, every combination of its values is trained first, with one seed, and
    the one with the lowest log loss on the validation tail is taken; without one that part is skipped. Options that
    compare items by their texts have new and changed items encoded first.

    The same data and settings are trained once: a re-run returns the earlier result. **Do not run** it to compare
    many settings on the test rows; choose on validation, with a `grid`.
    """,
)
def train_ctr() -> None:
    """Wire candidates -> fit_candidate (mapped) -> choose -> train."""

    def given() -> tuple[config.Settings, dict[str, Any], dict[str, Any]]:
        """Settings, parameters, and what marks and shows the work of this run."""
        context = get_current_context()
        params = liber.checked(context)
        settings = liber.task_settings(backbone=params["backbone"], seeds=params["seeds"])
        labels = {"airflow.run": liber.run_name(context)}
        return settings, params, {"run_labels": labels, "progress": liber.log_progress()}

    @task
    def candidates() -> list[dict[str, Any]]:
        settings, params, shown = given()
        training_jobs.encode_items(settings, params["options"], shown["progress"])
        return training_jobs.candidates(settings, params["grid"])

    @task(max_active_tis_per_dagrun=config.settings().search_tasks)
    def fit_candidate(candidate: dict[str, Any]) -> str:
        settings, params, shown = given()
        return training_jobs.fit_candidate(settings, candidate, params["options"], **shown)

    @task(trigger_rule="none_failed")
    def choose(runs: list[str]) -> dict[str, Any]:
        settings, params, _ = given()
        return training_jobs.choose(settings, params["grid"], list(runs or ()))

    @task(outlets=[liber.CTR_MODEL])
    def train(changes: dict[str, Any]) -> dict[str, Any]:
        settings, params, shown = given()
        report = training_jobs.train(settings, options=params["options"], changes=changes, bundle=params["bundle"],
                                     checkpoints=settings.checkpoints, **shown)  # fmt: skip
        liber.tell(get_current_context(), liber.CTR_MODEL, **training_jobs.headline(report))
        return {"model": report.model_name, "version": report.model_version, "reused": report.reused}

    train(choose(fit_candidate.expand(candidate=candidates())))


train_ctr()
