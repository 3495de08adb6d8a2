"""New partitions -> summary -> shift -> BERT + PCA -> pgvector (paper, sections 3.3 and 3.4.1)."""

from airflow.sdk import Param, dag, get_current_context, task

from liber_tasks import orchestration as liber


@dag(
    schedule=[liber.PARTITIONS],
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    tags=["liber", "interest"],
    params={
        "max_users": Param(None, type=["null", "integer"], minimum=0, description="empty: LIBER_LEARN_MAX_USERS"),
        "max_calls": Param(None, type=["null", "integer"], minimum=0, description="empty: LIBER_LEARN_MAX_CALLS"),
    },
    doc_md="""
    Asks the LLM for the summary of each new partition and for the shift between neighbours, then encodes both.

    Every call is asked once: results are committed one by one, a retry continues where the last try stopped.
    **Do not run** it while the LLM server is being replaced by one with another model: set `LIBER_LLM_MODEL` first,
    texts of two models must not share a knowledge version.
    """,
)
def learn_interests() -> None:
    """Wire plan -> learn -> encode -> announce."""

    @task
    def plan() -> dict[str, int]:
        from liber_tasks import db
        from liber_tasks.interest.learn import learn as learn_texts

        params = liber.checked(get_current_context())
        settings = liber.task_settings(learn_max_users=params["max_users"])
        with liber.clear_errors():
            cost = learn_texts(db.connect(settings), settings, max_users=settings.learn_max_users, dry_run=True)
        return {"calls": cost.calls, "prompt_tokens": cost.prompt_tokens}

    @task(pool=liber.LLM_POOL)
    def learn() -> dict[str, int]:
        from liber_tasks import db
        from liber_tasks.interest.learn import learn as learn_texts

        context = get_current_context()
        params = context["params"]
        settings = liber.task_settings(learn_max_users=params["max_users"], learn_max_calls=params["max_calls"])
        with liber.clear_errors():
            done = learn_texts(db.connect(settings), settings, max_users=settings.learn_max_users,
                               max_calls=settings.learn_max_calls, run_id=liber.run_name(context),
                               progress=liber.log_progress())  # fmt: skip
        return {"calls": done.calls, "failed": done.failed, "quarantined": done.quarantined,
                "pending": done.pending_summaries + done.pending_shifts}  # fmt: skip

    @task
    def encode() -> int:
        from liber_tasks import db
        from liber_tasks.encoder.store import encode as encode_texts
        from liber_tasks.split import time_cut

        settings = liber.task_settings()
        engine = db.connect(settings)
        with liber.clear_errors():
            cut = time_cut(engine, settings.train_share)
            return encode_texts(engine, settings, fit_before=cut, progress=liber.log_progress()).encoded

    @task(outlets=[liber.INTEREST_VECTORS])
    def announce_vectors() -> int:
        return liber.announce(get_current_context(), "vectors")

    plan() >> learn() >> encode() >> announce_vectors()


learn_interests()
