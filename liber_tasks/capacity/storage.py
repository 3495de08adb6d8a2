"""Bytes in the database after some days, by table with its indexes, and WAL of a day."""

from dataclasses import dataclass

from liber_tasks.capacity import costs, rows
from liber_tasks.capacity.activity import partitions
from liber_tasks.capacity.inputs import Inputs
from liber_tasks.capacity.work import Work


@dataclass(frozen=True)
class Stored:
    """Rows after some days from an empty database at a constant pace.

    Attributes:
        behaviors, partitions: in all.
        learnt_users: users with a partition at least.
        calls: of the LLM about users: a summary a partition, a shift for each but a user's first.
        item_calls: those about items, the catalogue once and what was new or changed.
        bytes: by table, indexes included; `interest_nearest` is the HNSW index.
    """

    behaviors: float
    partitions: float
    learnt_users: float
    calls: float
    item_calls: float
    bytes: dict[str, float]

    @property
    def total(self) -> float:
        """Bytes of all tables."""
        return sum(self.bytes.values())


def stored(given: Inputs, days: float) -> Stored:
    """What `days` of a constant pace leave behind."""
    behaviors = given.users * given.active_share * given.events_per_user * days
    per_user, share = partitions(behaviors / given.users if given.users else 0.0, given.partition_k, given.spread)
    sealed, learnt = given.users * per_user, given.users * share
    known = given.items + given.new_items * days if given.users else 0.0
    return Stored(behaviors, sealed, learnt, 2 * sealed - learnt, known,
                  _bytes(given, days, behaviors, sealed, learnt, known))  # fmt: skip


def laid_out(
    given: Inputs, *, behaviors: float, sealed: float, learnt: float, items: float, item_calls: float
) -> dict[str, float]:
    """Bytes by table of so many rows as PostgreSQL lays them out, pages full (`rows`)."""
    n = given.vector_dimension
    texts = 2 * sealed - learnt
    text = {kind: getattr(given, f"{kind}_tokens_out") * rows.TEXT_PER_TOKEN for kind in ("summary", "shift", "item")}
    return {
        "behavior": behaviors * rows.behavior().bytes(),
        "behavior_partition": sealed * rows.behavior_partition().bytes(),
        "user_stream": given.users * rows.user_stream().bytes(),
        "user_profile": given.users * rows.user_profile().bytes(),
        "interest": sealed * rows.interest(text["summary"]).bytes()
        + (sealed - learnt) * rows.interest(text["shift"]).bytes(),
        "llm_call": (texts + item_calls) * rows.llm_call().bytes(),
        "interest_vector": sealed * rows.interest_vector(n).bytes(),
        "interest_nearest": sealed * rows.interest_nearest(n) if given.nearest_index else 0.0,
        "item": items * rows.item().bytes(),
        "item_knowledge": items * rows.item_knowledge(text["item"]).bytes(),
        "item_vector": items * rows.item_vectors(),
    }


def _bytes(
    given: Inputs, days: float, behaviors: float, sealed: float, learnt: float, items: float
) -> dict[str, float]:
    """The same times what was measured on top, less the texts whose time is over."""
    full = laid_out(given, behaviors=behaviors, sealed=sealed, learnt=learnt, items=items, item_calls=items)
    found = {name: size * rows.MEASURED[name] for name, size in full.items()}
    if given.text_days is not None and days > given.text_days:
        late = (days - given.text_days) / days  # of a constant pace, the share that is older
        gone = sealed * given.summary_tokens_out + (sealed - learnt) * given.shift_tokens_out
        found["interest"] -= late * gone * rows.TEXT_PER_TOKEN
    return found


def wal(given: Inputs, of: Work) -> float:
    """Bytes of WAL of a day: the rows it writes as they are laid out, times what was measured by stage."""
    day = laid_out(given, behaviors=of.behaviors, sealed=of.partitions, learnt=0, items=given.new_items,
                   item_calls=of.item_calls)  # fmt: skip
    factors = costs.WAL | {"llm_call": costs.WAL["interest"]}
    if given.arrival == "files":
        return sum(day[name] * factor for name, factor in factors.items())
    others = sum(day[name] * factor for name, factor in factors.items() if not name.startswith("behavior"))
    return of.behaviors * costs.WAL_OF_BATCHES + others
