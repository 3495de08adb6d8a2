"""Knowledge versions: which one is in use, and what the database and MLflow keep of it."""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.db import database_errors, query
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.interest.item_prompt import ItemKnowledge, item_knowledge, item_knowledge_of
from liber_tasks.interest.prompts import Kind, Knowledge, knowledge_of, knowledge_version

_Version = TypeVar("_Version", Knowledge, ItemKnowledge)
_log = logging.getLogger("liber")


def in_use(engine: Engine, settings: Settings) -> Knowledge:
    """What texts are to be made with: `knowledge_version` if set, continued as it was begun; else what settings make.

    Raises:
        InputError: the version that is set is unknown, or cannot be continued; and as `prompts.knowledge_version`.
    """
    pinned = settings.knowledge_version
    if pinned is None:
        return knowledge_version(settings)
    return _continued(engine, "LIBER_KNOWLEDGE_VERSION", pinned, knowledge_of)


def items_in_use(engine: Engine, settings: Settings) -> ItemKnowledge:
    """What items are to be described with: `item_knowledge_version` if set, else what settings make.

    Raises:
        InputError: as `in_use`.
    """
    pinned = settings.item_knowledge_version
    if pinned is None:
        return item_knowledge(settings)
    return _continued(engine, "LIBER_ITEM_KNOWLEDGE_VERSION", pinned, item_knowledge_of)


def write_down(engine: Engine, settings: Settings, knowledge: _Version) -> None:
    """Name the version in the database and put its prompts into MLflow's registry, each once."""
    registered = name_version(engine, knowledge)
    if settings.mlflow_tracking_uri and set(knowledge.templates) - registered:
        name_version(engine, _registered(settings, knowledge))


def name_version(engine: Engine, knowledge: Knowledge | ItemKnowledge) -> set[str]:
    """Write down what the version's texts are made with, once; returns the kinds whose prompt is in MLflow's registry,
    as far as is known."""
    kinds: tuple[Kind, ...] = ("summary", "shift", "item")
    prompts = {kind: knowledge.templates[kind].version if kind in knowledge.templates else None for kind in kinds}
    row = {
        "knowledge_version": knowledge.version,
        "model": knowledge.model,
        **{f"{kind}_prompt": version for kind, version in prompts.items()},
        "parameters": json.dumps(knowledge.parameters),
        "recipe": json.dumps(knowledge.recipe),
        "registered": json.dumps(knowledge.registered),
    }
    with engine.begin() as connection:
        connection.execute(query("interest/add_version"), row)
        named = {"knowledge_version": knowledge.version}
        return set(connection.execute(query("interest/registered"), named).scalar_one())


def _continued(
    engine: Engine,
    setting: str,
    pinned: str,
    made_again: Callable[[str, Mapping[str, Any], Mapping[str, Any]], _Version],
) -> _Version:
    """The version that a setting names, from what is kept of it."""
    with database_errors(), engine.connect() as connection:
        row = connection.execute(query("interest/recipe"), {"knowledge_version": pinned}).first()
    if row is None:
        raise InputError(f"{setting} is {pinned!r}: no text is of it, see `liber timeline` or leave it empty.")
    if row.recipe is not None:
        try:
            knowledge = made_again(row.model, row.parameters, row.recipe)
        except KeyError:  # it has other prompts: of partitions, not of items, or the other way round
            raise InputError(
                f"{setting} is {pinned!r}, whose texts are about something else: choose another."
            ) from None
        if knowledge.version == pinned:
            return knowledge
    raise InputError(
        f"{setting} is {pinned!r}, which cannot be continued: it was made elsewhere or by a release that "
        "words prompts differently. Leave it empty to learn, or leave its texts as they are."
    )


def _registered(settings: Settings, knowledge: _Version) -> _Version:
    """The same with its templates in MLflow's prompt registry; learning does not wait for an MLflow that is away."""
    from liber_tasks.interest.wording.registry import register

    try:
        uris = register(settings, knowledge.templates)
    except ServiceUnavailable as error:
        _log.warning("The prompts are not in MLflow's registry yet, the next run tries again: %s", error)
        return knowledge
    templates = {kind: replace(template, uri=uris[kind]) for kind, template in knowledge.templates.items()}
    return replace(knowledge, templates=templates)
