"""Files -> behaviour stream -> sealed partitions (paper, section 3.2)."""

from airflow.sdk import Param, dag, get_current_context, task

from liber_tasks import orchestration as liber


@dag(
    schedule=None,
    catchup=False,
    max_active_runs=1,
    default_args=liber.DAG_DEFAULTS,
    tags=["liber", "behavior"],
    params={
        "behaviors": Param([], type="array", items={"type": "string"}, description="files, folders, globs or URLs"),
        "items": Param([], type="array", items={"type": "string"}, description="item files"),
        "users": Param([], type="array", items={"type": "string"}, description="user files"),
        "format": Param(None, type=["null", "string"], description="jsonl, csv, ...; empty: by name and content"),
        "k": Param(None, type=["null", "integer"], minimum=0, description="partition size; 0: no bound"),
        "gap": Param(None, type=["null", "string"], description="inactivity that ends a partition, such as 30m"),
        "max_age": Param(None, type=["null", "string"], description="longest span of a partition, such as 7d"),
        "min_events": Param(None, type=["null", "integer"], minimum=1, description="gap and age wait for so many"),
        "model": Param(None, type=["null", "string"], description="requested or drift: cut points by a model"),
        "watermark": Param(None, type=["null", "string"], format="date-time", description="empty: the run's time"),
    },
    doc_md="""
    Appends behaviours, items and users from files, quarantines bad rows, and seals full caches into partitions.

    A file seen before is a no-op, so a re-run is safe. **Do not run** it for files that are still being written:
    a file is identified by its checksum and would be loaded twice (its events once; duplicates are counted).
    """,
)
def ingest_behaviors() -> None:
    """Wire ingest -> announce items; ingest -> seal -> announce partitions."""

    @task
    def ingest() -> dict[str, int]:
        from liber_tasks import db
        from liber_tasks.behavior.ingest import ingest as load

        params, settings = liber.checked(get_current_context()), liber.task_settings()
        totals = {}
        with liber.clear_errors():
            for kind in ("users", "items", "behaviors"):
                if params[kind]:
                    report = load(db.connect(settings), settings, params[kind], kind=kind, format=params["format"],
                                  progress=liber.log_progress())  # fmt: skip
                    counts = ("accepted", "duplicates", "rejected", "refused")
                    totals |= {f"{kind}_{name}": getattr(report, name) for name in counts}
        return totals

    @task(outlets=[liber.ITEMS])
    def announce_items() -> int:
        return liber.announce(get_current_context(), "items")

    @task
    def seal() -> int:
        from datetime import datetime

        from liber_tasks import db
        from liber_tasks.partition.rules import rule_of
        from liber_tasks.partition.stream import seal as seal_caches

        context = get_current_context()
        params, settings = liber.checked(context), liber.task_settings()
        watermark = datetime.fromisoformat(at) if (at := params["watermark"]) else liber.run_time(context)
        with liber.clear_errors():
            rule = rule_of(settings, **{name: params[name] for name in ("k", "gap", "max_age", "min_events", "model")})
            return seal_caches(db.connect(settings), rule, watermark, progress=liber.log_progress()).partitions

    @task(outlets=[liber.PARTITIONS])
    def announce_partitions() -> int:
        return liber.announce(get_current_context(), "partitions")

    loaded = ingest()
    loaded >> announce_items()
    loaded >> seal() >> announce_partitions()


ingest_behaviors()
