"""The demo's report: read back from the database and MLflow, not remembered from the run."""

from typing import Any

from rich.table import Table
from rich.text import Text
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import connect, query
from liber_tasks.experiment.record import Estimate, from_dict
from liber_tasks.local.environment import EMBEDDED_MODEL
from liber_tasks.local.show import console


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
    show_readout(engine, experiment)


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
    from liber_tasks.training.registry import champion, latest_report
    from liber_tasks.training.tracking import connect as registry

    report = latest_report(settings)
    seeds = report["seeds"]
    table = Table(title=f"\n{report['backbone'].upper()} on the latest tenth of the ratings, {seeds} paired seeds, "
                  "mean and standard deviation", title_justify="left", box=None)  # fmt: skip
    for column in ("memory", "test AUC", "test log loss"):
        table.add_column(column)
    for name, variant in report["variants"].items():
        table.add_row(name, _spread(variant["auc"]), _spread(variant["log_loss"]))
    if difference := report["auc_difference"]:
        table.add_row("liber - none", _difference(difference), _difference(report["log_loss_difference"]))
    console.print(table)
    if interval := report["auc_interval"]:
        console.print(f"AUC liber - none over draws of the {report['test_users']:,} test users: "
                      f"95 % from {interval['low']:+.4f} to {interval['high']:+.4f}.")  # fmt: skip
    console.print(f"What liber reads besides: {', '.join(report['options'])}.")
    console.print(
        f"{report['test_rows_with_vector']:,} of {report['rows_test']:,} test rows and "
        f"{report['train_rows_with_vector']:,} of {report['rows_train']:,} training rows had a memory vector."
    )
    if on_those := report["auc_difference_with_vector"]:
        console.print(f"On the test rows that had one, AUC liber - none: {_difference(on_those)}.")
    name, trained = report["model_name"], report["model_version"]
    serves = str(champion(registry(settings), settings).version)
    says = (
        "approved by this demo in place of a person" if serves == trained else f"version {trained} waits for your yes"
    )
    console.print(f"\nRegistered model [bold]{name}[/bold] version {trained}. Version {serves} serves "
                  f"(models:/{name}@champion), {says}.")  # fmt: skip


def show_readout(engine: Engine, experiment: str) -> None:
    """Print the lifts of a stored readout beside those that were planted."""
    with engine.connect() as connection:
        record = from_dict(connection.execute(query("demo/readout"), {"experiment": experiment}).scalar_one())
    users = record.users
    table = Table(title=f"\nA/B readout of {experiment}: {'SIMULATED, ' if record.simulated else ''}"
                  f"{users['control']:,} control and {users['treatment']:,} treated users, 95 % intervals",
                  title_justify="left", box=None)  # fmt: skip
    for column in ("metric", "planted", "raw lift", "lift with CUPED"):
        table.add_column(column)
    for name, metric in record.metrics.items():
        planted = (record.planted or {}).get(name)
        table.add_row(name.replace("_", " "), "" if planted is None else f"{planted:+.2%}",
                      _lift(metric.raw), _lift(metric.cuped))  # fmt: skip
    console.print(table)


def _spread(spread: dict[str, Any]) -> str:
    return f"{spread['mean']:.4f}" + ("" if spread["sd"] is None else f" ± {spread['sd']:.4f}")


def _difference(difference: dict[str, Any]) -> str:
    sd, p = difference["sd"], difference["p"]
    return (
        f"{difference['mean']:+.4f}" + ("" if sd is None else f" ± {sd:.4f}") + ("" if p is None else f" (p {p:.2f})")
    )


def _lift(estimate: Estimate) -> str:
    if estimate.lift is None:
        return str(estimate.reason)
    return f"{estimate.lift:+.2%} [{estimate.lift_low:+.2%}, {estimate.lift_high:+.2%}]"
