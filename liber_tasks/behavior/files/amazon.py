"""Amazon reviews and their products (releases of 2018 and 2023, JSON lines) to blocks of rows.

2018 names reviewerID, asin, overall and unixReviewTime (seconds); 2023 user_id, asin, parent_asin, rating and
timestamp (milliseconds). A product is known by parent_asin where there is one, as the metadata of 2023 know it. The
event_id is made of product variant and time, so the same review in another file is a duplicate; the reviewer stands
in the key beside it. Texts of reviews are not kept.
"""

import html
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any

import msgspec
import pyarrow as pa

from liber_tasks.behavior.files.blocks import Block, Layout, Rejected
from liber_tasks.behavior.files.columns import batch_of, profile_block, strings
from liber_tasks.behavior.files.jsonl import json_blocks
from liber_tasks.errors import InputError

MAX_TEXT = 2_000  # characters of a description that are kept

_PEEK = 1024 * 1024
_SIGNS = (
    {"reviewerID", "asin", "unixReviewTime"},
    {"user_id", "parent_asin", "timestamp"},
    {"parent_asin", "title", "store"},
    {"asin", "title", "brand"},
)


class Review(msgspec.Struct, gc=False):
    """The fields of a review in either release."""

    reviewerID: str | int | None = None
    user_id: str | int | None = None
    asin: str | int | None = None
    parent_asin: str | int | None = None
    overall: str | int | float | None = None
    rating: str | int | float | None = None
    unixReviewTime: str | int | float | None = None
    timestamp: str | int | float | None = None


def is_amazon(file: IO[bytes]) -> bool:
    """Whether the first line of a file that stands at its start has Amazon's keys; it stands there again afterwards."""
    line = file.readline(_PEEK)
    file.seek(0)
    try:
        keys = set(msgspec.json.decode(line.removeprefix(b"\xef\xbb\xbf"), type=dict[str, msgspec.Raw]))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return False
    return not keys & {"event_id", "item_id"} and any(sign <= keys for sign in _SIGNS)


def read_amazon(file: IO[bytes], layout: Layout) -> Iterator[Block]:
    """Blocks of a file of reviews (behaviours) or of metadata (items).

    Raises:
        InputError: users are wanted, which no file has, or the file is not of the kind wanted.
    """
    if layout.kind == "users":
        raise InputError("Amazon's files hold no users; give --kind behaviors (reviews) or items (metadata).")

    def reviews(numbers: Sequence[int], rows: list[Review], lines: list[str], rejected: list[Rejected]) -> Block:
        return Block(batch_of(numbers, _columns(rows), layout), lines.__getitem__, rejected)

    def products(numbers: Sequence[int], rows: list[Any], lines: list[str], rejected: list[Rejected]) -> Block:
        return profile_block(numbers, [_product(row) for row in rows], lines.__getitem__, rejected, layout)

    behaviors = layout.kind == "behaviors"
    decoder: msgspec.json.Decoder[Any] = msgspec.json.Decoder(Review if behaviors else dict)
    try:
        yield from json_blocks(file, decoder, reviews if behaviors else products, layout)
    except InputError as error:
        if "is missing" not in str(error):
            raise
        here, other, kind = ("reviews", "metadata", "items") if behaviors else ("metadata", "reviews", "behaviors")
        raise InputError(f"these are no Amazon {here} ({error}); {other} need --kind {kind}.") from None


def _columns(rows: list[Review]) -> list[pa.Array]:
    """The behaviours' columns, in the layout's order."""
    times = [row.unixReviewTime if row.timestamp is None else _seconds(row.timestamp) for row in rows]
    variants = [row.parent_asin if row.asin is None else row.asin for row in rows]
    events = [f"az-{variant}-{time}" for variant, time in zip(variants, times, strict=True)]
    users = [row.reviewerID if row.user_id is None else row.user_id for row in rows]
    items = [row.asin if row.parent_asin is None else row.parent_asin for row in rows]
    ratings = [row.overall if row.rating is None else row.rating for row in rows]
    nothing = pa.nulls(len(rows), pa.string())
    return [
        strings(events), strings(users), strings(items), strings(times),
        pa.array(["rating"] * len(rows), pa.string()), strings(ratings), nothing, nothing,
    ]  # fmt: skip


def _seconds(milliseconds: str | int | float) -> str | int | float:
    """Epoch seconds as text; what is no whole number stays as it is, to be judged as a time."""
    if not isinstance(milliseconds, int) or milliseconds < 0:
        return milliseconds
    return f"{milliseconds // 1000}.{milliseconds % 1000:03}"


def _product(row: Mapping[str, Any]) -> dict[str, Any]:
    """An item as `ingest` reads it: what describes the product, without links, pictures and sums over all reviews."""
    categories = row.get("categories") or row.get("category")
    product: dict[str, Any] = {
        "item_id": row.get("asin") if row.get("parent_asin") is None else row["parent_asin"],
        "title": _clean(row.get("title")) or None,
        "brand": _clean(row.get("brand") or row.get("store")),
        "main_category": _clean(row.get("main_category") or row.get("main_cat")),
        "categories": [_clean(name) for name in _flat(categories)] or None,
        "description": _prose(row.get("description")),
        "features": _prose(row.get("features") or row.get("feature")),
        "price": _price(row.get("price")),
    }
    return {key: value for key, value in product.items() if value not in ("", None) or key in ("item_id", "title")}


def _flat(value: Any) -> list[str]:
    if isinstance(value, list):
        return [text for part in value for text in _flat(part)]
    return [value] if isinstance(value, str) else []


def _clean(value: Any) -> Any:
    return " ".join(html.unescape(value).split()) if isinstance(value, str) else value


def _prose(value: Any) -> str:
    return _clean(" ".join(_flat(value)))[:MAX_TEXT].rstrip()


def _price(value: Any) -> float | None:
    if isinstance(value, str):
        try:
            value = float(value.strip().removeprefix("$").replace(",", ""))
        except ValueError:
            return None
    return float(value) if isinstance(value, int | float) and 0 < value < 1e9 else None
