"""`liber status` and `liber metrics`: the pipeline's state for people and for Prometheus."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from liber_tasks import db
from liber_tasks.cli_output import show
from liber_tasks.config import settings
from liber_tasks.status.state import State, cost


def status(
    refresh: Annotated[bool, typer.Option("--refresh", help="Count anew, however long it takes.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Backlog and age of every stage, freshness, errors, tokens and cost; counted anew where that takes a second."""
    from liber_tasks.status import stored

    engine = db.connect(settings())
    with db.database_errors():
        state = stored.refresh(engine, settings()) if refresh else stored.current(engine, settings())
    if as_json:
        show(state.to_dict() | _judged(state), True)
        return
    _print(state, Console())


def metrics(
    address: Annotated[str | None, typer.Option(help="Interface; default LIBER_METRICS_ADDRESS, 127.0.0.1.")] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="Default LIBER_METRICS_PORT, 9477.")] = None,
    once: Annotated[bool, typer.Option("--once", help="Print the metrics and end.")] = False,
) -> None:
    """Serve Prometheus metrics at /metrics with the read-only role; SIGTERM or Ctrl-C ends it."""
    from liber_tasks.status import exporter

    if once:
        typer.echo(exporter.exposition(settings()), nl=False)
        return
    changed = {"metrics_address": address, "metrics_port": port}
    given = {name: value for name, value in changed.items() if value is not None}
    exporter.serve(settings().model_copy(update=given), lambda url: typer.echo(url, err=True))


def _judged(state: State) -> dict[str, object]:
    """What only the settings know: the target, and what it cost."""
    chosen = settings()
    return {
        "age_seconds": round((datetime.now(UTC) - state.counted_at).total_seconds(), 1),
        "freshness_seconds": state.waiting.total_seconds(),
        "freshness_target_seconds": chosen.freshness_target.total_seconds(),
        "cost": cost(state.llm, chosen.llm_price_in, chosen.llm_price_out),
        "currency": chosen.llm_currency,
    }


def _print(state: State, console: Console) -> None:
    table = Table("stage", "unit", box=None)
    for name in ("done", "pending", "failed", "oldest"):
        table.add_column(name, justify="right")
    for one in state.stages:
        waits = span(state.counted_at - one.oldest_pending_at) if one.oldest_pending_at else ""
        table.add_row(one.stage, one.unit, f"{one.done:,}", f"{one.pending:,}", f"{one.failed:,}", waits)
    console.print(table)
    judged, target = _judged(state), settings().freshness_target
    late = state.waiting > target
    console.print(
        f"freshness  the oldest partition has waited {span(state.waiting)} for its vector; the target is {span(target)}"
        f"{': LATE' if late else ''}" if state.waiting else "freshness  every partition that is learnt has its vector",
        soft_wrap=True,
    )  # fmt: skip
    tokens = [sum(getattr(one, name) for one in state.llm) for name in ("prompt_tokens", "completion_tokens")]
    money = "" if judged["cost"] is None else f", {judged['cost']:,.2f} {judged['currency']}"
    console.print(f"tokens     {tokens[0]:,} in, {tokens[1]:,} out{money}", soft_wrap=True)
    for problem in state.problems:
        said = f"{problem.state:<11} {problem.n:,} {problem.source}: {problem.reason}"
        console.print(said, soft_wrap=True, markup=False)
    console.print(
        f"counted    {span(timedelta(seconds=float(str(judged['age_seconds']))))} ago, in {state.seconds:.1f} s"
    )


def span(value: timedelta) -> str:
    """A time span in its two largest units, such as 3 d 4 h."""
    seconds = int(value.total_seconds())
    parts = [(seconds // size, unit) for size, unit in ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))]
    sizes = [n % bound if bound else n for (n, _), bound in zip(parts, (0, 24, 60, 60), strict=True)]
    named = [f"{n} {unit}" for n, (_, unit) in zip(sizes, parts, strict=True) if n]
    return " ".join(named[:2]) or "0 s"
