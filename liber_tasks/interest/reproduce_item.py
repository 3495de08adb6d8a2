"""The exact prompt of a stored text about an item, rendered again from what the database keeps.

A text is kept with the digest of the state that its item was in, and items keep their past states: the prompt follows
from the two. What a text that was made elsewhere was asked with is not known.
"""

from dataclasses import dataclass

from sqlalchemy import Engine

from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest.item_prompt import item_knowledge_of, item_prompt, shown_attributes
from liber_tasks.interest.prompts import digest
from liber_tasks.interest.reproduce import ReproducedPrompt, kept_with


@dataclass(frozen=True, kw_only=True)
class ReproducedItem(ReproducedPrompt):
    """The prompt of a text about an item.

    Attributes:
        item_id: what it is about.
    """

    item_id: str


def reproduce_item(engine: Engine, item_id: str, *, knowledge_version: str | None = None) -> ReproducedItem:
    """Render the prompt of a stored text about an item again, byte for byte.

    Args:
        engine: LIBER database.
        item_id: external id.
        knowledge_version: of the text; None: the newest one that says something about the item.

    Raises:
        InputError: there is no such item, or no such text.
        LiberError: what the text was made with was not kept, or what is kept does not give the prompt's digest.
    """
    asked = {"item_id": item_id, "knowledge_version": knowledge_version}
    with database_errors(), engine.connect() as connection:
        known = connection.execute(query("items/known"), asked).first()
        learnt = connection.execute(query("items/learnt_text"), asked).first()
    if known is None:
        raise InputError(f"There is no item {item_id!r}: check the id, or ingest the item first.")
    if learnt is None:
        version = f" of version {knowledge_version!r}" if knowledge_version else ""
        raise InputError(f"Item {item_id!r} has no text{version}: run `liber learn --items`.")
    what = f"The prompt of the text about item {item_id!r}"
    if learnt.recipe is None or learnt.attributes_sha256 is None:
        raise LiberError(f"{what} cannot be reproduced: version {learnt.knowledge_version!r} was made elsewhere.")
    if learnt.attributes is not None:
        knowledge = item_knowledge_of(learnt.model, learnt.parameters, learnt.recipe)
        for left_out in range(len(shown_attributes(knowledge.domain, learnt.attributes)) + 1):
            prompt = item_prompt(knowledge, learnt.title, learnt.attributes, left_out=left_out)
            if digest(prompt) == learnt.input_sha256:
                return ReproducedItem(item_id=item_id, prompt=prompt, **kept_with(learnt))
    raise LiberError(
        f"{what} cannot be reproduced: with the template and domain pack kept with it, no state of the item that is "
        f"kept gives its digest {learnt.input_sha256[:8]}. The item changed before its past was kept, or the code that "
        f"words prompts changed: install the release that was in use on {learnt.asked_at:%Y-%m-%d}."
    )
