"""The whole journey on MovieLens-100K through Airflow, followed live. What is done already is not done again."""

import signal
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import SecretStr
from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.errors import LiberError
from liber_tasks.local.airflow_api import WAITING, AirflowApi
from liber_tasks.local.environment import Stack
from liber_tasks.local.report import counts, show_report
from liber_tasks.local.show import bars, bring_up, console, show_addresses
from liber_tasks.local.stack import down, is_up, memory_mb
from liber_tasks.status.count import backlog

EXPERIMENT = "liber-memory-simulated"
APPROVE = "approve"  # the task of `promote_ctr` that waits for a person
ASSET_SECONDS = 30  # Airflow starts the run of an asset event within seconds
Fraction = Callable[[], tuple[int, int]]  # done, total


def demo(stack: Stack) -> None:
    """Run the journey and print its report; Ctrl-C stops what this call started.

    Raises:
        LiberError: a step failed; what is done stays, and a re-run continues.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    from liber_tasks.behavior.movielens import obtain

    begun, was_up = time.monotonic(), is_up(stack)
    try:
        bring_up(stack)
        settings = stack_settings(stack)
        before = counts(db.connect(settings))
        data = obtain(settings, stack.var / "data")
        files = {"behaviors": [str(data.behaviors)], "items": [str(data.items)], "users": [str(data.users)]}
        journey(AirflowApi.of(stack), settings, files)
        show_report(settings, before, EXPERIMENT)
        console.print(
            f"\nWall time {time.monotonic() - begun:.0f} s. Memory of the stack {memory_mb(stack):,.0f} MB.\n"
        )
        show_addresses(stack)
    except KeyboardInterrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # stopping must not be interrupted half-way
        if not was_up:
            console.print("\nInterrupted: stopping the stack. `make demo` continues from here.")
            down(stack)
        raise


def stack_settings(stack: Stack) -> Settings:
    """The stack's settings with the addresses of its own services filled in."""
    environment = stack.liber_environment()
    return stack.settings.model_copy(
        update={
            "database_url": SecretStr(environment["LIBER_DATABASE_URL"]),
            "llm_url": environment["LIBER_LLM_URL"],
            "llm_model": environment["LIBER_LLM_MODEL"],
            "llm_guided": environment["LIBER_LLM_GUIDED"] == "True",
            "item_max_tokens": int(environment["LIBER_ITEM_MAX_TOKENS"]),
            "mlflow_tracking_uri": environment["MLFLOW_TRACKING_URI"],
        }
    )


def journey(api: AirflowApi, settings: Settings, files: dict[str, list[str]]) -> None:
    """Files -> partitions -> interests -> vectors -> models -> approval -> readout, each by its DAG.

    The approval is a person's. Only where nothing serves yet it is given here, so that there is a model to score with.

    Args:
        api: Airflow.
        settings: of the stack.
        files: paths by kind: `behaviors`, `items`, `users`.

    Raises:
        LiberError: a run failed; names DAG, task and reason.
    """
    engine = db.connect(settings)
    with bars() as display:

        def follow(step: str, dag_id: str, run_id: str, fraction: Fraction | None = None) -> dict[str, str]:
            bar = display.add_task(dag_id, step=step, total=None)
            for run in api.follow(dag_id, run_id):
                finished = sum(state in ("success", "skipped") for state in run.tasks.values())
                done, total = fraction() if fraction else (finished, len(run.tasks))
                at = next((task for task, state in run.tasks.items() if state not in ("success", "skipped")), run.state)
                display.update(bar, completed=done, total=total, description=f"{dag_id}: {at}")
                if run.tasks.get(APPROVE) == WAITING:
                    api.answer(dag_id, run_id, APPROVE, "Approve")
            if run.state != "success":
                raise LiberError(f"The DAG {dag_id} failed in {api.failure(run)}. Run `make demo` again to continue.")
            return run.tasks

        begun = datetime.now(UTC)
        tasks = follow("ingest", "ingest_behaviors", api.trigger("ingest_behaviors", dict(files)))

        run = _chained(api, "learn_interests", begun, tasks["announce_partitions"] == "success")
        target = _interests_to_learn(engine, settings)
        tasks = follow("learn", "learn_interests", run, lambda: (_stage(engine, "summary", "shift"), target))

        run = _chained(api, "train_ctr", begun, tasks["announce_vectors"] == "success")
        follow("train", "train_ctr", run)

        if _nothing_serves(settings):
            waiting = api.running("promote_ctr")  # of a journey that was stopped here
            follow("promote", "promote_ctr", waiting[0] if waiting else _chained(api, "promote_ctr", begun, True))

        run = api.trigger("ab_readout", {"experiment": EXPERIMENT, "simulate": True})
        follow("readout", "ab_readout", run)


def _nothing_serves(settings: Settings) -> bool:
    from liber_tasks.training.registry import CHAMPION, find
    from liber_tasks.training.tracking import connect

    return find(connect(settings), settings, CHAMPION) is None


def _chained(api: AirflowApi, dag_id: str, since: datetime, announced: bool) -> str:
    """The run that an asset event started; where nothing new was announced, one that picks up what was left."""
    deadline = time.monotonic() + ASSET_SECONDS
    while announced and time.monotonic() < deadline:
        if runs := api.runs_since(dag_id, since):
            return runs[-1]
        time.sleep(0.5)
    conf: dict[str, Any] = {}
    return api.trigger(dag_id, conf)


def _interests_to_learn(engine: Engine, settings: Settings) -> int:
    """Texts there will be once the bounded number of users is learnt."""
    from liber_tasks.interest.learn import learn

    plan = learn(engine, settings, max_users=settings.learn_max_users, max_calls=settings.learn_max_calls, dry_run=True)
    return plan.calls + _stage(engine, "summary", "shift")


def _stage(engine: Engine, *stages: str) -> int:
    with engine.connect() as connection:
        return sum(stage.done for stage in backlog(connection) if stage.stage in stages)
