"""What items' texts are made with, and the prompt that asks for one. Pure, but for a prompt that is in MLflow."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from liber_tasks.config import Settings
from liber_tasks.interest.prompts import (
    TITLE_CHARACTERS,
    Kind,
    PromptTemplate,
    as_json,
    chosen,
    digest,
    origin_name,
)
from liber_tasks.interest.wording.domain import Domain, domain, pack
from liber_tasks.interest.wording.untrusted import clean, quote

NAME_CHARACTERS = 40
VALUE_CHARACTERS = 600  # a plot fits
ATTRIBUTES = 30  # more are left out, the last by name
ITEM_WORDING = 1  # of the code that words these prompts: count up when the same inputs give other words


@dataclass(frozen=True)
class ItemKnowledge:
    """What texts of items are made with; a row of liber.knowledge_version.

    Attributes:
        model: name sent to the server.
        domain: wording of the catalogue.
        templates: the one of kind item.
        max_tokens: bound of an answer, by the same kind.
        guided: output by a JSON schema where the server offers it.
    """

    model: str
    domain: Domain
    templates: Mapping[Kind, PromptTemplate]
    max_tokens: Mapping[Kind, int]
    guided: bool = True

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything besides model and prompt that shapes a text."""
        return {
            "domain": f"{self.domain.name}/{self.domain.item_digest[:8]}",
            "temperature": 0,
            "max_tokens": dict(self.max_tokens),
            "guided": self.guided,
            "wording": ITEM_WORDING,
        }

    @property
    def version(self) -> str:
        """Readable name with a digest of all that shapes a text."""
        made_with = digest(as_json([self.model, self.templates["item"].version, self.parameters]))
        return f"{origin_name(self.model, self.domain)}-items-{made_with[:10]}"

    @property
    def recipe(self) -> dict[str, Any]:
        """What `item_knowledge_of` makes this again from, whatever files are installed then."""
        return {"templates": {"item": self.templates["item"].text}, "domain": self.domain.model_dump(mode="json")}

    @property
    def registered(self) -> dict[str, str]:
        """Where the template is in MLflow's prompt registry."""
        return {kind: template.uri for kind, template in self.templates.items() if template.uri}


def item_knowledge(settings: Settings) -> ItemKnowledge:
    """What these settings describe items with.

    Raises:
        InputError: there is no such domain pack or prompt.
        ServiceUnavailable: the prompt is in MLflow's registry and MLflow cannot be reached.
    """
    return ItemKnowledge(
        model=settings.llm_model,
        domain=domain(settings.domain),
        templates={"item": chosen(settings, "item", settings.item_prompt)},
        max_tokens={"item": settings.item_max_tokens},
        guided=settings.llm_guided,
    )


def item_knowledge_of(model: str, parameters: Mapping[str, Any], recipe: Mapping[str, Any]) -> ItemKnowledge:
    """The knowledge a row of liber.knowledge_version describes.

    Raises:
        InputError: the recipe holds no domain pack.
        KeyError: the version is not about items.
    """
    return ItemKnowledge(
        model=model,
        templates={"item": PromptTemplate("item", recipe["templates"]["item"])},
        domain=pack(recipe["domain"], "The domain pack kept with the knowledge version"),
        max_tokens={"item": parameters["max_tokens"]["item"]},
        guided=parameters["guided"],
    )


def item_prompt(knowledge: ItemKnowledge, title: str, attributes: Mapping[str, Any], *, left_out: int = 0) -> str:
    """The prompt for one item.

    Args:
        knowledge: template and domain.
        title: of the item.
        attributes: of the item, from JSON.
        left_out: so many of those that are shown are not, the last by name.
    """
    facts = shown_attributes(knowledge.domain, attributes)
    words = knowledge.domain
    return knowledge.templates["item"].render(
        items=words.items,
        factors=words.factors,
        names=words.description.names,
        item=quote(title, TITLE_CHARACTERS),
        attributes="\n".join(facts[: len(facts) - left_out]),
    )


def shown_attributes(words: Domain, attributes: Mapping[str, Any]) -> list[str]:
    """A line for each attribute that says something, by name. The names are from outside too: they are quoted."""
    lines = []
    for name in sorted(attributes):
        value = attributes[name]
        said = words.word(name, _flat(value), VALUE_CHARACTERS)
        if said and clean(name, NAME_CHARACTERS):
            lines.append(f"{quote(name, NAME_CHARACTERS)}: {quote(said, VALUE_CHARACTERS)}")
    return lines[:ATTRIBUTES]


def _flat(value: Any) -> Any:
    """A text, a number or a list of them as it is; anything else as JSON."""
    nested = isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, dict | list) for one in value))
    return json.dumps(value, ensure_ascii=False, sort_keys=True) if nested or isinstance(value, bool) else value
