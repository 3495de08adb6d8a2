"""New partitions -> summary -> shift -> BERT + PCA -> pgvector (paper, sections 3.3 and 3.4.1)."""

from typing import Any

from airflow.sdk import dag, get_current_context, task

from liber_tasks import learning
from liber_tasks import orchestration as liber


@dag(
    schedule=[liber.PARTITIONS],
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    deadline=liber.deadline(),
    tags=["liber", "interest"],
    params=liber.BUDGET_PARAMS | liber.RETRY_PARAM,
    doc_md="""
    Asks the LLM for the summary of each new partition and for the shift between neighbours, then encodes both. The
    first task says in its log what the backlog will cost.

    Every call is asked once: results are committed as they come, a retry continues where the last try stopped, with
    what is left of its budget. `LIBER_LEARN_SHARDS` tasks share the users, the calls in flight and the budgets; each
    takes as many slots of the pool `llm` as it has calls in flight.
    **Do not run** it while the LLM server is being replaced by one with another model: set `LIBER_LLM_MODEL` first,
    texts of two models must not share a knowledge version. For another model or prompt beside this one:
    `backfill_knowledge`.
    """,
)
def learn_interests() -> None:
    """Wire plan -> learn (mapped) -> encode -> announce."""

    @task
    def plan() -> list[str]:
        context = get_current_context()
        params = liber.checked(context)
        cost, shards = learning.plan(liber.task_settings(**liber.budgets(params)))
        context["ti"].xcom_push("cost", cost)
        return shards

    @task(**liber.llm_task())
    def learn(shard: str) -> dict[str, Any]:
        context = get_current_context()
        settings = liber.task_settings(**liber.budgets(context["params"]))
        return learning.learn_shard(settings, shard, liber.run_name(context), progress=liber.log_progress(),
                                    retry_quarantined=context["params"]["retry_quarantined"])  # fmt: skip

    @task
    def encode() -> int:
        return int(learning.encode(liber.task_settings(), liber.log_progress()).encoded)

    @task(outlets=[liber.INTEREST_VECTORS])
    def announce_vectors() -> int:
        return liber.announce(get_current_context(), liber.INTEREST_VECTORS)

    learn.expand(shard=plan()) >> encode() >> announce_vectors()


learn_interests()
