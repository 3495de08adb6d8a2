"""Command that says why: `liber explain`."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from liber_tasks import db
from liber_tasks.cli_output import show
from liber_tasks.config import settings

FILE_WIDTH = 160
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]


def explain(
    user: Annotated[str, typer.Argument(help="User id.")],
    item: Annotated[str, typer.Argument(help="Item id.")],
    every: Annotated[bool, typer.Option("--all", help="Show every partition, not the strongest only.")] = False,
    as_json: AsJson = False,
) -> None:
    """Which partitions of a user speak for an item, which against it, by how much and by which words."""
    from liber_tasks.explain import explain as compare
    from liber_tasks.explain import strongest

    found = compare(db.connect(settings()), settings(), user, item)
    if as_json:
        show(found, True)
        return
    # in a file a table need not fit a screen
    console = Console(highlight=False, emoji=False, markup=False, width=None if sys.stdout.isatty() else FILE_WIDTH)
    console.print(Text(found.sentence()))
    if not found.partitions:
        return
    shown = found.partitions if every else strongest(found.partitions)
    table = Table("partition", "period", box=None)
    for name in ("liked", "disliked", "pull"):
        table.add_column(name, justify="right")
    table.add_column("shared with what was liked", overflow="fold")
    table.add_column("with what was disliked", overflow="fold")
    for each in shown:
        table.add_row(
            f"P_{each.partition_no}", f"{each.started_at:%Y-%m-%d} to {each.ended_at:%Y-%m-%d}", f"{each.liked}",
            f"{each.disliked}", f"{each.pull:+.3f}", Text(", ".join(each.likes)),
            Text(", ".join(each.dislikes)),
        )  # fmt: skip
    console.print(table)
    if len(shown) < len(found.partitions):
        console.print(f"{len(found.partitions) - len(shown)} partitions that pull less are left out: --all shows them.")
    console.print("pull: similarity of the item to what was liked in the partition, less that to what was disliked.")
    known = f"a text of {found.knowledge_version}" if found.described else "its attributes alone"
    console.print(Text(f"Known of the item: {known}."))
