"""New and changed items -> texts about them -> vectors -> pgvector."""

from typing import Any

from airflow.sdk import dag, get_current_context, task

from liber_tasks import learning
from liber_tasks import orchestration as liber


@dag(
    schedule=[liber.ITEMS],
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    deadline=liber.deadline(),
    tags=["liber", "interest"],
    params=liber.ITEM_BUDGET_PARAMS | liber.RETRY_PARAM,
    doc_md="""
    Asks the LLM for a text about each item that is new or whose title or attributes changed, the most popular ones
    first, then encodes the items. The first task says in its log what the backlog will cost.

    Every call is asked once: results are committed as they come, a retry continues where the last try stopped, with
    what is left of its budget. `LIBER_LEARN_SHARDS` tasks share the items, the calls in flight and the budgets; each
    takes as many slots of the pool `llm` as it has calls in flight, so `learn_interests` and this take turns.
    `LIBER_LEARN_MAX_ITEMS` bounds how many items are described in all.
    **Do not run** it while a catalogue is still being loaded in parts that change the same items: each change costs a
    call. Nor while the LLM server is being replaced by one with another model: set `LIBER_LLM_MODEL` first, or
    `LIBER_ITEM_KNOWLEDGE_VERSION` to go on with the version in use.
    """,
)
def learn_items() -> None:
    """Wire plan -> learn (mapped) -> encode -> announce."""

    @task
    def plan() -> list[str]:
        context = get_current_context()
        params = liber.checked(context)
        cost, shards = learning.plan_items(liber.task_settings(**liber.budgets(params)))
        context["ti"].xcom_push("cost", cost)
        return shards

    @task(**liber.llm_task())
    def learn(shard: str) -> dict[str, Any]:
        context = get_current_context()
        settings = liber.task_settings(**liber.budgets(context["params"]))
        return learning.learn_items_shard(settings, shard, liber.run_name(context), progress=liber.log_progress(),
                                          retry_quarantined=context["params"]["retry_quarantined"])  # fmt: skip

    @task
    def encode() -> int:
        return int(learning.encode_items(liber.task_settings(), liber.log_progress()).encoded)

    @task(outlets=[liber.ITEM_VECTORS])
    def announce_vectors() -> int:
        return liber.announce(get_current_context(), liber.ITEM_VECTORS)

    learn.expand(shard=plan()) >> encode() >> announce_vectors()


learn_items()
