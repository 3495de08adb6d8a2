"""Commands of interest learning: `liber learn`, `timeline`, `prompt`, `cost`."""

from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from liber_tasks import db, learning
from liber_tasks.cli_knowledge import show_timeline
from liber_tasks.cli_output import line_progress, plain, show
from liber_tasks.config import duration, settings
from liber_tasks.errors import InputError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


class TextKind(StrEnum):
    """Which text of a partition."""

    summary = "summary"
    shift = "shift"


def learn(
    users: Annotated[
        list[str] | None, typer.Option(help="User id; repeat for more. Default: in LIBER_LEARN_ORDER.")
    ] = None,
    max_users: Annotated[int | None, typer.Option(min=0, help="Default: LIBER_LEARN_MAX_USERS.")] = None,
    items: Annotated[
        bool, typer.Option("--items", help="Ask for texts about items instead: new ones, and those that changed.")
    ] = False,
    max_items: Annotated[
        int | None, typer.Option(min=0, help="The most popular ones. Default: LIBER_LEARN_MAX_ITEMS.")
    ] = None,
    max_calls: Annotated[int | None, typer.Option(min=0, help="Default: LIBER_LEARN_MAX_CALLS.")] = None,
    max_tokens: Annotated[int | None, typer.Option(min=0, help="Default: LIBER_LEARN_MAX_TOKENS.")] = None,
    max_time: Annotated[str | None, typer.Option(help="Begin no call after 90s, 30m, 12h.")] = None,
    shard: Annotated[str | None, typer.Option(help="This part of the users or items only, such as 0/4.")] = None,
    retry_quarantined: Annotated[
        bool, typer.Option("--retry-quarantined", help="Ask again what the server refused.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what it would cost; call nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask the LLM for the missing summaries and shifts (paper, section 3.3), or for texts about items."""
    from liber_tasks.types import Shard

    if items and (users or max_users is not None):
        raise InputError("--items asks about items, --users and --max-users about users: run the command twice.")
    if max_items is not None and not items:
        raise InputError("--max-items goes with --items: add it.")
    given = {
        "max_items": max_items,
        "max_users": max_users,
        "max_calls": max_calls,
        "max_tokens": max_tokens,
        "max_seconds": _seconds(max_time),
    }
    bounds = learning.item_bounds(settings()) if items else learning.bounds(settings())
    options = {
        **bounds,
        **{name: value for name, value in given.items() if value is not None},
        "shard": Shard.parse(shard) if shard else None,
        "retry_quarantined": retry_quarantined,
        "dry_run": dry_run,
        "progress": line_progress(),
    }
    if items:
        from liber_tasks.interest.items import learn_items

        show(learn_items(db.connect(settings()), settings(), **options), as_json)
    else:
        from liber_tasks.interest.learn import learn as learn_texts

        show(learn_texts(db.connect(settings()), settings(), users=users or None, **options), as_json)


def _seconds(max_time: str | None) -> float | None:
    try:
        return duration(max_time).total_seconds() if max_time else None
    except ValueError as error:
        raise InputError(f"--max-time is {max_time!r}: {error}.") from None


def timeline(
    user: Annotated[str, typer.Argument(help="User id.")],
    version: Annotated[
        str | None, typer.Option("--knowledge-version", help="Default: the newest of each partition.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """A user's partitions with what the LLM wrote about each, with which prompts, for how many tokens."""
    from liber_tasks.interest.timeline import timeline as read

    show_timeline(read(db.connect(settings()), user, knowledge_version=version), user, as_json)


def prompt(
    user: Annotated[str | None, typer.Argument(help="User id.")] = None,
    partition: Annotated[int | None, typer.Argument(min=1, help="Number of the partition, from 1.")] = None,
    kind: Annotated[TextKind, typer.Option(help="Which text.")] = TextKind.summary,
    item: Annotated[str | None, typer.Option(help="Item id, in place of a user's partition.")] = None,
    version: Annotated[str | None, typer.Option("--knowledge-version", help="Default: the newest.")] = None,
    as_json: AsJson = False,
) -> None:
    """The exact prompt of a stored text, with items and user as they were when it was asked."""
    from liber_tasks.interest.reproduce import Reproduced, reproduce
    from liber_tasks.interest.reproduce_item import ReproducedItem, reproduce_item

    found: Reproduced | ReproducedItem
    if item is not None and user is None:
        found = reproduce_item(db.connect(settings()), item, knowledge_version=version)
    elif user is not None and partition is not None and item is None:
        found = reproduce(db.connect(settings()), user, partition, kind.value, knowledge_version=version)
    else:
        raise InputError("Say whose prompt: USER and PARTITION, or --item ITEM.")
    show(found, as_json, found.prompt)


def cost(
    user: Annotated[str | None, typer.Option(help="What the texts of this user cost.")] = None,
    by_user: Annotated[bool, typer.Option("--by-user", help="The users whose texts cost most, not runs.")] = False,
    most: Annotated[int, typer.Option(min=1, help="Rows.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Calls and tokens of the newest learning runs, or by user."""
    from liber_tasks.interest.account import cost_of_runs, cost_of_users

    engine = db.connect(settings())
    by_user = by_user or user is not None
    entries = cost_of_users(engine, most, user) if by_user else cost_of_runs(engine, most)
    if as_json:
        show({"users" if by_user else "runs": [plain(entry) for entry in entries]}, True)
        return
    table = Table(box=None)
    for name in ("user" if by_user else "run", "model"):
        table.add_column(name, overflow="fold")
    for name in ("calls", "done", "failed", "aside", "tokens\nin", "tokens\nout"):
        table.add_column(name, justify="right")
    for entry in entries:
        figures = (
            entry.calls,
            entry.done,
            entry.failed,
            entry.quarantined,
            entry.prompt_tokens,
            entry.completion_tokens,
        )
        table.add_row(entry.name, entry.model, *(f"{figure:,}" for figure in figures))
    Console(highlight=False, markup=False).print(table)
