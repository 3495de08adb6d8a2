"""What the command line says about erasures that outlive a restore: `liber erasures`."""

from pathlib import Path
from typing import Annotated

import typer

from liber_tasks import db, learning
from liber_tasks.cli_output import line_progress, plain, show
from liber_tasks.config import settings

erasures = typer.Typer(help="Keep erased users erased when a database is restored.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


@erasures.command("export")
def export_(
    path: Annotated[Path, typer.Argument(help="File to write, for its owner only. Replaced if it is there.")],
    as_json: AsJson = False,
) -> None:
    """Write who was erased, as digests, to a file: with each backup, and before a restore."""
    from liber_tasks.behavior.erase_again import read
    from liber_tasks.local.environment import write_private

    found = read(db.connect(settings()))
    write_private(path, found.text())
    show({"records": len(found.records), "path": str(path)}, as_json)


@erasures.command("apply")
def apply_(
    path: Annotated[Path, typer.Argument(help="What `liber erasures export` wrote.")], as_json: AsJson = False
) -> None:
    """Erase again, in a restored database, who was erased before it was restored; a second run does nothing."""
    from liber_tasks.behavior.erase_again import Erasures, apply
    from liber_tasks.behavior.erase_models import models_holding

    users = apply(db.connect(settings()), Erasures.of_file(path), line_progress())
    traces = learning.forget_traces(settings(), users)
    models = models_holding(settings(), users)
    show({"erased_again": len(users), "traces": traces, "models": plain(models)}, as_json)
