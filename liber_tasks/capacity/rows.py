"""Bytes of rows and index entries as PostgreSQL lays them out, times what was measured on top.

Layout: PostgreSQL 18 documentation, "Database Page Layout"; B-tree entries in storage/itup.h; pgvector's HNSW elements
in its hnsw.h. Pages are 8 KiB. `MEASURED` is measured over laid out, by relation, at 5,000 users: what half-full index
pages, dead rows between vacuums and the like add. `python -m tests.bench capacity` prints it, and how well it predicts
ten times as many from a tenth.
"""

import math
from dataclasses import dataclass

PAGE, PAGE_HEADER, POINTER, TUPLE_HEADER, NULLS_HEADER, INDEX_HEADER = 8192, 24, 4, 24, 32, 8
HNSW_M = 24  # sql/queries/encoder/nearest_index_create.sql
VERSION, ENCODER, SHA, RUN = 24, 40, 65, 32  # bytes of the names that rows carry
TEXT_PER_TOKEN = 4.2  # characters; counted, tests/texts
DENSE, LEXICAL = 384, 256  # numbers of an item's two vectors

MEASURED = {
    "behavior": 1.05, "behavior_partition": 1.10, "user_stream": 1.80, "user_profile": 1.19, "interest": 1.02,
    "llm_call": 1.81, "interest_vector": 1.03, "interest_nearest": 1.00, "item": 1.28, "item_knowledge": 1.02,
    "item_vector": 0.93,
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """A table's row.

    Attributes:
        data: bytes of its columns, padding included.
        keys: bytes of the columns of each index.
        nulls: whether some column is usually null, which costs a bitmap.
        fill: share of a page that rows fill when they are written.
    """

    data: float
    keys: tuple[float, ...]
    nulls: bool = False
    fill: float = 1.0

    def heap(self) -> float:
        """Bytes of the table a row: whole rows fit a page."""
        size = _aligned((NULLS_HEADER if self.nulls else TUPLE_HEADER) + self.data) + POINTER
        return PAGE / max(math.floor((PAGE - PAGE_HEADER) * self.fill / size), 1)

    def indexes(self) -> float:
        """Bytes of its indexes a row, pages full."""
        return sum(_aligned(INDEX_HEADER + key) + POINTER for key in self.keys)

    def bytes(self) -> float:
        """Bytes a row, indexes included."""
        return self.heap() + self.indexes()


def behavior(id_bytes: float = 12) -> Row:
    """liber.behavior without context: eight numbers, a kind and the event's id; indexes by seq and by event id."""
    return Row(48 + 4 + 4 + 1 + id_bytes, (16, 8 + 1 + id_bytes), nulls=True)


def behavior_partition() -> Row:
    """liber.behavior_partition."""
    return Row(80, (12,))


def user_stream() -> Row:
    """liber.user_stream; the index by cache size keeps equal entries together and counts nothing."""
    return Row(56, (8, 16), fill=0.7)


def user_profile(id_bytes: float = 12) -> Row:
    """liber.user_profile without attributes."""
    return Row(8 + 1 + id_bytes + 5 + 8, (8, 1 + id_bytes))


def interest(text_bytes: float) -> Row:
    """liber.interest: a text, what it was asked with, its tokens."""
    head = 4 if text_bytes > 126 else 1
    return Row(8 + 4 + 4 + 1 + VERSION + head + text_bytes + SHA + 12 + 5 + 3 + 8 + 4, (8 + 4 + 4 + 1 + VERSION,))


def llm_call() -> Row:
    """liber.llm_call: the ledger; keys by call, partition and time, and by item those of items alone."""
    return Row(SHA + 3 + 16 + VERSION + 1 + 8 + RUN + 3 + 16 + 12 + 8, (SHA, 16, 8), nulls=True)


def interest_vector(dimension: int) -> Row:
    """liber.interest_vector: 4 bytes a number."""
    return Row(12 + ENCODER + VERSION + 2 + 8 + 4 * dimension + 12, (12 + ENCODER + VERSION + 2,))


def interest_nearest(dimension: int) -> float:
    """Bytes a vector of its HNSW index: the element, and 2 m neighbours on the ground floor (m more on each above)."""
    element = _aligned(76 + 8 + 4 * dimension) + POINTER
    neighbours = _aligned(8 + 6 * HNSW_M * (2 + 1 / (HNSW_M - 1))) + POINTER
    return PAGE / max(math.floor((PAGE - PAGE_HEADER - 8) / (element + neighbours)), 1)


def item(attribute_bytes: float = 150) -> Row:
    """liber.item with a title and some attributes."""
    return Row(8 + 13 + 30 + 4 + attribute_bytes + 8, (8, 13))


def item_knowledge(text_bytes: float) -> Row:
    """liber.item_knowledge."""
    return Row(8 + 1 + VERSION + 4 + text_bytes + 2 * SHA + 12 + 5 + 3 + 8, (8 + 1 + VERSION, 1 + VERSION))


def item_vectors() -> float:
    """Bytes an item of liber.item_vector: one row for meaning, one for words."""
    return sum(Row(8 + ENCODER + 1 + 8 + 4 * n + SHA + 8, (8 + ENCODER + 1, 8)).bytes() for n in (DENSE, LEXICAL))


def _aligned(size: float) -> float:
    return math.ceil(size / 8) * 8
