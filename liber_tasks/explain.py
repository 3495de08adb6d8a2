"""Which partitions of a user speak for an item, which against it, and by which words. No model and no LLM is asked."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from scipy import sparse
from sqlalchemy import Connection, Engine

from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError
from liber_tasks.features.item_text import item_text
from liber_tasks.features.lexical import Lexical
from liber_tasks.features.profile import directions, profiles
from liber_tasks.features.responses import disliked, liked, responses
from liber_tasks.features.words import word_profiles
from liber_tasks.feedback import feedback_in_use
from liber_tasks.item_knowledge import knowledge_in_use

WORDS_SHOWN = 5
WORDS_COMPARED = 1_000  # of a partition; few of them are of the item too
SHOWN = 4  # partitions each way


@dataclass(frozen=True)
class Pull:
    """How one closed partition compares with the item.

    Attributes:
        partition_no: j of P_j.
        started_at, ended_at: of its behaviours.
        liked, disliked: how many of its items were.
        to_liked, to_disliked: similarity of the item to them, -1 to 1: mean over the kinds of vectors.
        pull: `to_liked` less `to_disliked`.
        likes, dislikes: words that the item shares with what was liked, and disliked, in it; the strongest first.
    """

    partition_no: int
    started_at: datetime
    ended_at: datetime
    liked: int
    disliked: int
    to_liked: float
    to_disliked: float
    pull: float
    likes: tuple[str, ...]
    dislikes: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """What a user's closed partitions say about an item.

    Attributes:
        user_id, item_id, title: about whom and what.
        text: what is known of the item, as it was compared.
        knowledge_version: of the texts; None: attributes alone.
        described: whether an LLM's text about the item is among what is known.
        pull: mean over the partitions.
        partitions: oldest first.
    """

    user_id: str
    item_id: str
    title: str | None
    text: str
    knowledge_version: str | None
    described: bool
    pull: float
    partitions: tuple[Pull, ...]

    def sentence(self) -> str:
        """The whole in a sentence."""
        name = self.title or self.item_id
        if not self.partitions:
            return f"User {self.user_id} has no closed partition yet: nothing speaks for or against {name}."
        sides = (("for", 1, "likes"), ("against", -1, "dislikes"))
        said = []
        for way, sign, words in sides:
            strongest = max(self.partitions, key=lambda each, sign=sign: sign * each.pull)  # type: ignore[misc]
            if sign * strongest.pull > 0:
                shared = ", ".join(getattr(strongest, words))
                by = f", by the words {shared}" if shared else ""
                said.append(f"most {way} it speaks P_{strongest.partition_no} ({strongest.pull:+.3f}{by})")
        number = len(self.partitions)
        whole = f"{number} closed partitions of user {self.user_id} pull {name} by {self.pull:+.3f} on average"
        return f"{'; '.join([whole, *said])}."


def strongest(partitions: Sequence[Pull], each_way: int = SHOWN) -> tuple[Pull, ...]:
    """The partitions that pull most, up and down, oldest first."""
    by_pull = sorted(partitions, key=lambda each: each.pull)
    chosen = {each.partition_no for each in (*by_pull[:each_way], *by_pull[-each_way:])}
    return tuple(each for each in partitions if each.partition_no in chosen)


def explain(engine: Engine, settings: Settings, user_id: str, item_id: str) -> Explanation:
    """Compare an item with what a user liked and disliked in each closed partition, as the option `profile` does.

    Args:
        engine: LIBER database; a role that reads is enough.
        settings: `item_knowledge_version`, `domain`.
        user_id, item_id: external ids.

    Raises:
        InputError: the user or the item is unknown, or items have no text vectors yet; says what to do.
        ServiceUnavailable: the database cannot be reached.
    """
    feedback = feedback_in_use(settings)
    with database_errors(), engine.connect().execution_options(isolation_level="REPEATABLE READ") as connection:
        knowledge = knowledge_in_use(connection, settings)
        of = {"user_id": user_id, "item_id": item_id, "knowledge_version": knowledge}
        if connection.execute(query("explain/user"), {"user_id": user_id}).scalar_one_or_none() is None:
            raise InputError(f"There is no user {user_id!r}: check the id, or ingest the user's behaviours first.")
        candidate = connection.execute(query("explain/item"), of).one_or_none()
        if candidate is None:
            raise InputError(f"The catalogue has no item {item_id!r}: load it with `liber ingest --kind items`.")
        rows = connection.execute(query("explain/behaviors"), of | {"feedback": feedback}).all()
        encoders = connection.execute(query("training/item_encoders"), {"knowledge_version": knowledge}).all()
        if not encoders:
            raise InputError("No item has a text vector: run `liber encode --items`.")
        items = list({row.item_key: row for row in (candidate, *rows)}.values())  # the candidate is row 0
        views = [_view(connection, encoder, items) for encoder in encoders]
    texts = [item_text(row.title, row.attributes, row.knowledge) for row in items]
    lexical = next((Lexical.from_bytes(bytes(each.lexical)) for each in encoders if each.lexical is not None), None)
    return Explanation(
        user_id, item_id, candidate.title, texts[0], knowledge, candidate.knowledge is not None,
        *_pulls(rows, items, views, lexical, texts),
    )  # fmt: skip


def _pulls(
    rows: Sequence[Any], items: Sequence[Any], views: Sequence[np.ndarray], lexical: Lexical | None,
    texts: Sequence[str],
) -> tuple[float, tuple[Pull, ...]]:  # fmt: skip
    place = {row.item_key: number for number, row in enumerate(items)}
    item = np.array([place[row.item_key] for row in rows], dtype=np.int64)
    said = responses(np.array([np.nan if row.rating is None else row.rating for row in rows], dtype=np.float64))
    first: dict[int, Any] = {}
    for row in rows:
        first.setdefault(row.partition_no, row)
    number = {partition_no: place for place, partition_no in enumerate(first)}
    partition = np.array([number[row.partition_no] for row in rows], dtype=np.int64)
    start, end, none = np.array([[0], [len(first)], [0]])
    scores = [profiles(view, item, said, partition, len(first)).scores(start, end, none) for view in views]
    to_disliked, to_liked = np.mean(scores, axis=0)[:, :, 0]
    shared = _shared(lexical, texts, item, said, partition, len(first))
    counts = [np.bincount(partition[chosen(said)], minlength=len(first)) for chosen in (liked, disliked)]
    pulls = tuple(
        Pull(
            partition_no=row.partition_no, started_at=row.started_at, ended_at=row.ended_at,
            liked=int(counts[0][n]), disliked=int(counts[1][n]),
            to_liked=float(to_liked[n]), to_disliked=float(to_disliked[n]), pull=float(to_liked[n] - to_disliked[n]),
            likes=shared[n][1], dislikes=shared[n][0],
        )
        for n, row in enumerate(first.values())
    )  # fmt: skip
    return float(np.mean(to_liked - to_disliked)) if pulls else 0.0, pulls


def _shared(
    lexical: Lexical | None, texts: Sequence[str], item: np.ndarray, said: np.ndarray, partition: np.ndarray,
    partitions: int,
) -> list[tuple[tuple[str, ...], tuple[str, ...]]]:  # fmt: skip
    """Words that the candidate, row 0, shares with what was disliked and with what was liked in each partition."""
    if lexical is None:
        return [((), ())] * partitions
    view = lexical.words(texts)
    found = word_profiles(view, item, said, partition, partitions, WORDS_COMPARED)
    both = sparse.csr_array(found.words.multiply(view[[0]].toarray()))
    both.eliminate_zeros()

    def strongest(row: int) -> tuple[str, ...]:
        part = slice(both.indptr[row], both.indptr[row + 1])
        order = np.argsort(-both.data[part], kind="stable")
        return telling([lexical.terms[term] for term in both.indices[part][order]])

    return [(strongest(2 * number), strongest(2 * number + 1)) for number in range(partitions)]


def telling(terms: Sequence[str]) -> tuple[str, ...]:
    """The first `WORDS_SHOWN` terms that tell a reader something: none with a stop word, and no word that a pair which
    is shown holds already."""
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    said = [term for term in terms if not ENGLISH_STOP_WORDS & set(term.split())]
    pairs = {word for term in said[: 2 * WORDS_SHOWN] if " " in term for word in term.split()}
    return tuple(term for term in said if term not in pairs)[:WORDS_SHOWN]


def _view(connection: Connection, encoder: Any, items: Sequence[Any]) -> np.ndarray:
    """Directions of the items, (C, v) float32."""
    place = {row.item_key: number for number, row in enumerate(items)}
    vectors = np.zeros((len(items), encoder.dimension), dtype=np.float32)
    asked = {"encoder_version": encoder.encoder_version, "item_keys": list(place)}
    for row in connection.execute(query("explain/vectors"), asked):
        vectors[place[row.item_key]] = np.array(row.vector, dtype=np.float32) - np.array(encoder.centre)
    return directions(vectors, np.zeros(0, dtype=np.int64))
