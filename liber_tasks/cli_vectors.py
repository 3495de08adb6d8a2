"""Command on stored vectors: `liber nearest`."""

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from liber_tasks import db
from liber_tasks.cli_output import show
from liber_tasks.config import settings
from liber_tasks.errors import LiberError

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def nearest(
    user: Annotated[str, typer.Argument(help="User id.")],
    k: Annotated[int, typer.Option("--k", min=1, help="Users to find.")] = 10,
    index: Annotated[bool, typer.Option("--index", help="Make the HNSW index first, unless it is there.")] = False,
    exact: Annotated[bool, typer.Option("--exact", help="Look at every vector, even if there is an index.")] = False,
    encoder: Annotated[str | None, typer.Option("--encoder-version", help="Default: with the most vectors.")] = None,
    knowledge: Annotated[
        str | None, typer.Option("--knowledge-version", help="Default: LIBER_KNOWLEDGE_VERSION, or the most vectors.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Users who were at some time interested in what this user is now, with the text that says why."""
    from liber_tasks.encoder.nearest import make_index, nearest_users
    from liber_tasks.encoder.read import largest_versions

    engine = db.connect(settings())
    found = largest_versions(engine, encoder, knowledge or settings().knowledge_version)
    if found is None:
        raise LiberError("There are no vectors of these versions: run `liber learn` and `liber encode` first.")
    if index:
        make_index(engine, *found)
    answer = nearest_users(engine, user, *found, k, exact=exact)
    if as_json:
        show(answer, True)
        return
    console = Console(highlight=False, emoji=False, markup=False)
    table = Table("user", box=None)
    table.add_column("similarity", justify="right")
    table.add_column("partition", justify="right")
    table.add_column("summary", overflow="fold")
    for each in answer.neighbours:
        summary = Text("text is gone" if each.summary is None else " ".join(each.summary.split()))
        table.add_row(Text(each.user_id), f"{each.similarity:.3f}", f"P_{each.partition_no}", summary)
    console.print(f"Compared with P_{answer.partition_no} of user {user}, encoder {answer.encoder_version}, "
                  f"knowledge {answer.knowledge_version}")  # fmt: skip
    console.print(table)
