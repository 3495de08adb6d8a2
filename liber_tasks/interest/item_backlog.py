"""Calls about items: what is read for them, and the order they are made in."""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Engine

from liber_tasks.db import query
from liber_tasks.interest.call import Call, ItemPlace
from liber_tasks.interest.inputs import batches
from liber_tasks.interest.item_prompt import ItemKnowledge, item_prompt, shown_attributes
from liber_tasks.types import Shard

ITEMS_FIRST, ITEMS_READ = 16, 256  # items read together: few at first, so that calls begin at once
ITEMS_SIFTED = 20_000  # item keys in one statement

ItemCall = Call[ItemPlace]


@dataclass(frozen=True)
class ItemPage:
    """Some items' calls; each can be made at once."""

    calls: list[ItemCall]


class ItemBacklog:
    """Calls in the order they come: none waits for another."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._ready: deque[ItemCall] = deque()

    @property
    def ready(self) -> int:
        """Calls that can be made now."""
        return len(self._ready)

    def begin(self, prepared: ItemPage) -> None:
        """Add a page's calls."""
        self._ready.extend(prepared.calls)

    def take(self) -> ItemCall | None:
        """The next call; None when there is none."""
        return self._ready.popleft() if self._ready else None

    def put_back(self, call: ItemCall) -> None:
        """It was taken, and cannot be made yet."""
        self._ready.appendleft(call)

    def answered(self, done: ItemCall, text: str) -> None:
        """Nothing follows from it."""

    def dropped(self, lost: ItemCall) -> None:
        """Nothing depends on it."""


def items_in_order(engine: Engine, most: int | None, shard: Shard) -> list[int]:
    """Keys of the `most` most popular items (None: all) that are the shard's, described before or not."""
    asked = {"max_items": most, "shards": shard.of, "shard": shard.number}
    with engine.connect() as connection:
        return list(connection.execute(query("items/in_order"), asked).scalars())


def due(engine: Engine, knowledge: ItemKnowledge, item_keys: Sequence[int]) -> list[int]:
    """Those of the items that a run can bring a text: new or changed, and not set aside; in their order."""
    found: list[int] = []
    with engine.connect() as connection:
        for keys in batches(item_keys, ITEMS_SIFTED):
            asked = {"item_keys": keys, "knowledge_version": knowledge.version}
            found += connection.execute(query("items/due"), asked).scalars()
    return found


def pages(engine: Engine, knowledge: ItemKnowledge, item_keys: Sequence[int]) -> Iterator[list[ItemPage]]:
    """Calls about these items in their order, some at a time."""
    start, size = 0, ITEMS_FIRST
    while start < len(item_keys):
        asked = {"item_keys": item_keys[start : start + size], "knowledge_version": knowledge.version}
        with engine.connect() as connection:
            rows = list(connection.execute(query("items/page"), asked))
        yield [ItemPage([item_call(knowledge, row) for row in rows])]
        start, size = start + size, min(2 * size, ITEMS_READ)


def item_call(knowledge: ItemKnowledge, item: Any) -> ItemCall:
    """The call about an item as `items/page` gives it."""
    title: str = item.title
    attributes: Mapping[str, Any] = item.attributes

    def render(left_out: int) -> str:
        return item_prompt(knowledge, title, attributes, left_out=left_out)

    place = ItemPlace(item.item_id, item.item_key, item.attributes_sha256)
    parts = len(shown_attributes(knowledge.domain, attributes))
    return Call(item.call_key, place, "item", render(0), knowledge.max_tokens["item"], render, parts)
