"""What the tasks of the learning DAGs and the commands of the same name share. Knows the stages, not Airflow."""

import logging
import math
from functools import partial
from typing import Any

from liber_tasks.config import Settings
from liber_tasks.types import Progress, Shard, silent

TRACE_TRIES = 3  # MLflow may be slow; what stays would be a user's data
SECONDS_A_TASK = 10  # a mapped task with less work costs more than it brings
_log = logging.getLogger("liber")


def with_version(settings: Settings) -> Settings:
    """The settings with `knowledge_version` filled in: the one that is set, else the one that these settings make.

    Raises:
        InputError: there is no such domain pack or prompt.
        ServiceUnavailable: a prompt is in MLflow's registry and MLflow cannot be reached.
    """
    if settings.knowledge_version is not None:
        return settings
    from liber_tasks.interest.prompts import knowledge_version

    return settings.model_copy(update={"knowledge_version": knowledge_version(settings).version})


def plan(settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """Cost of the backlog, said in the log too, and the shards that are worth a task, at least one."""
    from liber_tasks import db
    from liber_tasks.interest.learn import learn

    return _planned(settings, learn(db.connect(settings), settings, **bounds(settings), dry_run=True), "users")


def plan_items(settings: Settings) -> tuple[dict[str, Any], list[str]]:
    """As `plan`, of the items that are to be described."""
    from liber_tasks import db
    from liber_tasks.interest.items import learn_items

    cost = learn_items(db.connect(settings), settings, **item_bounds(settings), dry_run=True)
    return _planned(settings, cost, "items")


def _planned(settings: Settings, cost: Any, whom: str) -> tuple[dict[str, Any], list[str]]:
    hours = (
        "an unknown time, no call was made yet" if cost.hours is None else f"{cost.hours:.2f} hours at the last rate"
    )
    _log.info(
        "Version %s: %d calls for %d %s, about %d prompt and %d answer tokens, %s.",
        cost.knowledge_version, cost.calls, getattr(cost, whom), whom, cost.prompt_tokens, cost.completion_tokens,
        hours,
    )  # fmt: skip
    worth = cost.calls if cost.hours is None else math.ceil(cost.hours * 3600 / SECONDS_A_TASK)
    parts = max(1, min(settings.learn_shards, worth))
    told = ("knowledge_version", whom, "calls", "prompt_tokens", "completion_tokens", "hours")
    return {name: getattr(cost, name) for name in told}, [f"{number}/{parts}" for number in range(parts)]


def learn_shard(
    settings: Settings, shard: str, run: str, *, retry_quarantined: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """One shard's part of a run: of its users, its calls in flight and its budgets. A retry continues, also the budget.

    Args:
        settings: of the whole run.
        shard: such as 0/4.
        run: its name; the ledger has RUN#0/4.
        retry_quarantined: ask those calls again that were set aside.
        progress: told about texts stored.
    """
    from liber_tasks import db
    from liber_tasks.interest.learn import learn

    mine, mine_of = _part(settings, shard, bounds(settings))
    done = learn(db.connect(settings), mine, **mine_of, retry_quarantined=retry_quarantined, run_id=f"{run}#{shard}",
                 progress=progress)  # fmt: skip
    return {"calls": done.calls, "failed": done.failed, "quarantined": done.quarantined, "adopted": done.adopted,
            "stopped_by": done.stopped_by, "pending": done.pending_summaries + done.pending_shifts}  # fmt: skip


def learn_items_shard(
    settings: Settings, shard: str, run: str, *, retry_quarantined: bool = False, progress: Progress = silent
) -> dict[str, Any]:
    """As `learn_shard`, of the items that are to be described."""
    from liber_tasks import db
    from liber_tasks.interest.items import learn_items

    mine, mine_of = _part(settings, shard, item_bounds(settings))
    done = learn_items(db.connect(settings), mine, **mine_of, retry_quarantined=retry_quarantined,
                       run_id=f"{run}#{shard}", progress=progress)  # fmt: skip
    return {"calls": done.calls, "failed": done.failed, "quarantined": done.quarantined,
            "stopped_by": done.stopped_by, "pending": done.pending}  # fmt: skip


def _part(settings: Settings, shard: str, whole: dict[str, Any]) -> tuple[Settings, dict[str, Any]]:
    """Settings and bounds of one of a run's tasks: its calls in flight, its share of the budgets."""
    part = Shard.parse(shard)
    mine = settings.model_copy(update={"llm_in_flight": in_flight(settings)})
    return mine, whole | {"shard": part} | {name: share(whole[name], part) for name in ("max_calls", "max_tokens")}


def in_flight(settings: Settings) -> int:
    """Calls in flight of one of a run's tasks."""
    return max(1, settings.llm_in_flight // settings.learn_shards)


def bounds(settings: Settings) -> dict[str, Any]:
    """Whom a run asks about, and its budgets, as `learn` takes them."""
    return {"max_users": settings.learn_max_users, **_budgets(settings)}


def item_bounds(settings: Settings) -> dict[str, Any]:
    """Likewise, as `learn_items` takes them."""
    return {"max_items": settings.learn_max_items, **_budgets(settings)}


def _budgets(settings: Settings) -> dict[str, Any]:
    return {
        "max_calls": settings.learn_max_calls,
        "max_tokens": settings.learn_max_tokens,
        "max_seconds": settings.learn_max_time.total_seconds() if settings.learn_max_time else None,
    }


def share(bound: int | None, part: Shard) -> int | None:
    """A shard's share of a budget; together they are the whole."""
    return None if bound is None else bound // part.of + (part.number < bound % part.of)


def encode(settings: Settings, progress: Progress = silent) -> Any:
    """Vectors of the configured knowledge version."""
    from liber_tasks import db
    from liber_tasks.encoder.store import encode as encode_texts
    from liber_tasks.split import time_cut

    engine = db.connect(settings)
    cut = partial(time_cut, engine, settings.train_share)  # sorts all behaviours: only where it is asked for
    return encode_texts(engine, with_version(settings), fit_before=cut, progress=progress)


def encode_items(settings: Settings, progress: Progress = silent) -> Any:
    """Vectors of the catalogue's new and changed items."""
    from liber_tasks import db
    from liber_tasks.encoder.items import encode_items as encode_texts
    from liber_tasks.split import time_cut

    engine = db.connect(settings)
    with db.database_errors():
        cut = time_cut(engine, settings.train_share)
    return encode_texts(engine, settings, fit_before=cut, progress=progress)


def forget_traces(settings: Settings, user_ids: list[str]) -> int | None:
    """Delete the users' MLflow traces; how many. None: MLflow does not answer, so nobody looked; never fails."""
    from liber_tasks.errors import ServiceUnavailable
    from liber_tasks.interest.traces import forget

    for _ in range(TRACE_TRIES):
        try:
            return sum(forget(settings, user_id) for user_id in user_ids)
        except ServiceUnavailable as error:
            _log.warning("Traces of the erased were not all looked for: %s", error)
    return None
