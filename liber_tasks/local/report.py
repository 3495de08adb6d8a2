"""The demo's report: read back from the database and MLflow, not remembered from the run."""

from typing import Any

from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import connect, query
from liber_tasks.local.show import console

EMBEDDED_MODEL = "local"  # LIBER_LLM_MODEL of the embedded server


def counts(engine: Engine) -> dict[str, int]:
    """Counts at each stage and the LLM's cost so far."""
    with engine.connect() as connection:
        return dict(connection.execute(query("demo/counts")).mappings().one())


def show_report(settings: Settings, before: dict[str, int], experiment: str) -> None:
    """Print what the journey has left behind; `before` tells what this run added."""
    engine = connect(settings)
    _show_counts(counts(engine), before)
    _show_examples(engine, settings)
    _show_training(settings)
    _show_readout(engine, experiment)


def _show_counts(now: dict[str, int], before: dict[str, int]) -> None:
    table = Table(title="\nCounts", title_justify="left", box=None)
    for column in ("", "in all", "added now"):
        table.add_column(column, justify="left" if not column else "right")
    for name, value in now.items():
        table.add_row(name.replace("_", " "), f"{value:,}", f"{value - before[name]:,}")
    console.print(table)
    console.print(
        f"{now['partitions'] - now['summaries']:,} partitions are pending: LIBER_LEARN_MAX_USERS bounds the demo."
    )


def _show_examples(engine: Engine, settings: Settings) -> None:
    with engine.connect() as connection:
        examples = connection.execute(query("demo/examples")).mappings().all()
    for example in examples:
        console.print(
            f"\n[bold]User {example['user_id']}, partition {example['partition_no']}[/bold] "
            f"({example['started_at']:%Y-%m-%d} to {example['ended_at']:%Y-%m-%d})"
        )
        console.print(Text(f"  summary: {example['summary']}\n  shift:   {example['shift']}"))
    if settings.llm_model == EMBEDDED_MODEL:
        console.print("These texts are by a 135M-parameter model: they prove the wiring, not the value of the text.")


def _show_training(settings: Settings) -> None:
    from liber_tasks.training.registry import latest_report

    report: dict[str, Any] = latest_report(settings)
    console.print(report)


def _show_readout(engine: Engine, experiment: str) -> None:
    with engine.connect() as connection:
        result = connection.execute(query("experiment/current"), {"experiment": experiment}).scalar_one()
    console.print(result)
