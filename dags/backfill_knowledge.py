"""Another knowledge version beside the one in use: the same partitions, another model, prompt, pack or variant."""

from typing import Any

from airflow.sdk import Param, dag, get_current_context, task

from liber_tasks import learning
from liber_tasks import orchestration as liber

TEXT, TRUTH = ["null", "string"], ["null", "boolean"]
RECIPE = {
    "llm_url": Param(None, type=TEXT, description="server of the new model; empty: the configured one"),
    "llm_model": Param(None, type=TEXT, description="its name; empty: LIBER_LLM_MODEL, and so on"),
    "llm_guided": Param(None, type=TRUTH, description="answers held to a JSON schema"),
    "domain": Param(None, type=TEXT, description="domain pack"),
    "summary_prompt": Param(None, type=TEXT, description="prompts:/NAME/VERSION in MLflow"),
    "shift_prompt": Param(None, type=TEXT, description="likewise"),
    "history_style": Param(None, type=TEXT, enum=[None, "grounded", "titles", "described"], description="of prompts"),
    "learn_variant": Param(None, type=TEXT, enum=[None, "full", "no_shift", "no_partition"], description="ablation"),
    "learn_length": Param(None, type=["null", "integer"], minimum=1, description="behaviours, of no_partition"),
}


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    deadline=liber.deadline(),
    tags=["liber", "interest", "maintenance"],
    params=RECIPE | liber.BUDGET_PARAMS,
    doc_md="""
    Makes the texts and vectors of another knowledge version, for the same users, beside those in use; nothing in use
    changes. What the new version would ask in the same words of the same model is taken over, not asked again. With a
    budget it is filled in several runs with the same parameters.

    To switch to it, give the settings the same values (`LIBER_LLM_MODEL` and so on), or set `LIBER_KNOWLEDGE_VERSION`
    to the version in the log of the first task; then run `train_ctr`. To switch back, undo that.
    **Do not run** it with the settings that are in use: that is what `learn_interests` does.
    """,
)
def backfill_knowledge() -> None:
    """Wire plan -> learn (mapped) -> encode."""

    def settings() -> Any:
        params = liber.checked(get_current_context())
        chosen = {name: params[name] for name in RECIPE}
        made = liber.task_settings(**chosen, **liber.budgets(params))
        return made.model_copy(update={"knowledge_version": None})  # what these make, not what is in use

    @task
    def plan() -> list[str]:
        cost, shards = learning.plan(settings())
        get_current_context()["ti"].xcom_push("cost", cost)
        return shards

    @task(**liber.llm_task())
    def learn(shard: str) -> dict[str, Any]:
        run = liber.run_name(get_current_context())
        return learning.learn_shard(settings(), shard, run, progress=liber.log_progress())

    @task
    def encode() -> int:
        return int(learning.encode(settings(), liber.log_progress()).encoded)

    learn.expand(shard=plan()) >> encode()


backfill_knowledge()
