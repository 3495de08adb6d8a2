"""Commands about what is kept of users: `liber retain`, `erase`, `readmit`."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated

import typer

from liber_tasks import db, learning
from liber_tasks.cli_output import line_progress, plain, show
from liber_tasks.config import duration, settings
from liber_tasks.errors import InputError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


class RetainPolicy(StrEnum):
    """What goes of a partition."""

    texts = "texts"
    all = "all"


def retain(
    older_than: Annotated[
        str | None,
        typer.Option(help="Age of all that goes, such as 365d. Default: LIBER_RETAIN_TEXTS, _REJECTED, ..."),
    ] = None,
    policy: Annotated[
        RetainPolicy | None, typer.Option(help="all: vectors go with their texts. Default: LIBER_RETAIN_POLICY.")
    ] = None,
    version: Annotated[
        str | None, typer.Option("--knowledge-version", help="Texts of this version alone, nothing else.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what is too old; change nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove old texts, raw rejected rows and closed ledger rows; nothing of it is asked for again, or comes back."""
    from liber_tasks.retention import bounds_of
    from liber_tasks.retention import retain as remove

    try:
        age = duration(older_than) if older_than else None
    except ValueError as error:
        raise InputError(f"--older-than is {older_than!r}: {error}.") from None
    bounds = bounds_of(
        settings(), now=datetime.now(UTC), older_than=age, policy=policy.value if policy else None,
        knowledge_version=version,
    )  # fmt: skip
    show(remove(db.connect(settings()), bounds, dry_run=dry_run, progress=line_progress()), as_json)


def erase(user: Annotated[str, typer.Argument(help="User id.")], as_json: AsJson = False) -> None:
    """Remove a user from every table, text and vector, and refuse what comes of this user later."""
    from liber_tasks.behavior.erase import erase as erase_user
    from liber_tasks.behavior.erase_models import models_holding

    report = erase_user(db.connect(settings()), user, progress=line_progress())
    traces = learning.forget_traces(settings(), [user])
    show(plain(report) | {"traces": traces, "models": plain(models_holding(settings(), [user]))}, as_json)


def readmit(user: Annotated[str, typer.Argument(help="User id.")], as_json: AsJson = False) -> None:
    """Accept what comes of an erased user again; nothing comes back."""
    from liber_tasks.behavior.erase import readmit as readmit_user

    show(readmit_user(db.connect(settings()), user), as_json)
