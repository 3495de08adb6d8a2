"""Commands of the registered model: `liber promote`, `rollback`."""

from typing import Annotated

import typer

from liber_tasks.cli_output import show
from liber_tasks.config import settings
from liber_tasks.errors import InputError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def promote(
    version: Annotated[int | None, typer.Option(min=1, help="Default: the one training registered last.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show a model beside the champion and let it serve if you say so."""
    from liber_tasks.serving import promotion
    from liber_tasks.training import tracking

    client = tracking.connect(settings())
    found = promotion.compare(client, settings(), str(version) if version else None)
    if found is None:
        show({"changed": False}, as_json, "It is the champion already: nothing to do.")
        return
    typer.echo(found.text(), err=True)
    if not yes and not _agreed(found.subject()):
        show({"changed": False}, as_json, "Nothing was changed.")
        return
    show(promotion.promote(client, settings(), found.version, instead_of=found.champion), as_json)


def rollback(as_json: AsJson = False) -> None:
    """Let the former champion serve again."""
    from liber_tasks.serving import promotion
    from liber_tasks.training import tracking

    show(promotion.rollback(tracking.connect(settings()), settings()), as_json)


def _agreed(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:
        raise InputError("Nobody answered: nothing was changed. Give --yes where there is no terminal.") from None
