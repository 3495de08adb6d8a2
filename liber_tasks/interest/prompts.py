"""Prompts as versioned data: templates, and what names a text's origin (paper, section 3.3, Figure 3)."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Literal

from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.interest.wording.domain import Domain, domain, pack

Kind = Literal["summary", "shift", "item"]
Style = Literal["grounded", "titles", "described"]
Variant = Literal["full", "no_shift", "no_partition"]
KINDS: tuple[Kind, ...] = ("summary", "shift")  # of a partition
TITLE_CHARACTERS = 100
TEXT_CHARACTERS = 1200
HISTORY_CHARACTERS = 8000  # a bound against junk; what the server can take is asked there
WORDING = 1  # of the code that words prompts: count up when the same inputs give other words
# Variables of a template: those it must have, and those it may have.
VARIABLES: dict[Kind, tuple[frozenset[str], frozenset[str]]] = {
    "summary": (frozenset({"history"}), frozenset({"items", "factors", "user", "history", "facts"})),
    "shift": (frozenset({"previous", "current"}), frozenset({"items", "factors", "previous", "current"})),
    "item": (frozenset({"item"}), frozenset({"items", "factors", "names", "item", "attributes"})),
}
_VARIABLE = re.compile(r"{{\s*(\w+)\s*}}")  # as MLflow's prompt registry writes them
_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class PromptTemplate:
    """A template; its version changes with its text.

    Attributes:
        name: summary, shift or item.
        text: with {{variables}}.
        uri: where it is in MLflow's prompt registry; None: not there.
    """

    name: Kind
    text: str
    uri: str | None = field(default=None, compare=False)

    @property
    def version(self) -> str:
        """Name and digest, as kept with every text."""
        return f"{self.name}/{digest(self.text)[:8]}"

    @property
    def variables(self) -> frozenset[str]:
        """Names between the braces."""
        return frozenset(_VARIABLE.findall(self.text))

    def render(self, **parts: str) -> str:
        """The prompt. Parts are inserted once and never read as template; a line whose only parts are empty goes."""
        lines = []
        for line in self.text.strip().splitlines():
            names = _VARIABLE.findall(line)
            if not names or any(parts[name] for name in names):
                lines.append(_VARIABLE.sub(lambda found: parts[found[1]], line))
        return "\n".join(lines)


@dataclass(frozen=True)
class Knowledge:
    """What texts of partitions are made with; a row of liber.knowledge_version.

    Attributes:
        model: name sent to the server.
        domain: wording of the catalogue.
        templates: by kind.
        max_tokens: bound of an answer, by kind.
        style: what a summary's prompt shows of the history.
        variant: of the paper's ablation (sections 4.4 and 4.6).
        length: behaviours a prompt of variant no_partition shows.
        guided: output by a JSON schema where the server offers it.
        items: version of the texts about items that a summary's prompt shows, of style described; else None.
    """

    model: str
    domain: Domain
    templates: Mapping[Kind, PromptTemplate]
    max_tokens: Mapping[Kind, int]
    style: Style = "grounded"
    variant: Variant = "full"
    length: int | None = None
    guided: bool = True
    items: str | None = None

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything besides model and prompts that shapes a text."""
        return {
            "domain": f"{self.domain.name}/{self.domain.digest[:8]}",
            "temperature": 0,
            "max_tokens": dict(self.max_tokens),
            "style": self.style,
            "variant": self.variant,
            "length": self.length,
            "guided": self.guided,
            "wording": WORDING,
            "summary_origin": self.summary_origin,
        } | ({} if self.items is None else {"items": self.items})

    @property
    def summary_origin(self) -> str:
        """Digest of what shapes a summary: versions with equal ones ask the same, so they share the answers."""
        shaping = [self.model, self.templates["summary"].version, self.domain.digest, self.max_tokens["summary"],
                   self.style, self.length, self.guided, WORDING, *filter(None, [self.items])]  # fmt: skip
        return digest(as_json(shaping))[:16]

    @property
    def version(self) -> str:
        """Readable name with a digest of all that shapes a text."""
        prompts = [self.templates[kind].version for kind in KINDS]
        return f"{origin_name(self.model, self.domain)}-{digest(as_json([self.model, prompts, self.parameters]))[:10]}"

    @property
    def has_shift(self) -> bool:
        """Whether the cascade goes on from summaries to shifts."""
        return self.variant == "full"

    @property
    def recipe(self) -> dict[str, Any]:
        """What `knowledge_of` makes this again from, whatever files are installed then."""
        return {
            "templates": {kind: self.templates[kind].text for kind in KINDS},
            "domain": self.domain.model_dump(mode="json"),
        }

    @property
    def registered(self) -> dict[str, str]:
        """Where the templates are in MLflow's prompt registry."""
        return {kind: uri for kind in KINDS if (uri := self.templates[kind].uri)}


def knowledge_version(settings: Settings) -> Knowledge:
    """What these settings make texts with.

    Raises:
        InputError: there is no such domain pack or prompt.
        ServiceUnavailable: a prompt is in MLflow's registry and MLflow cannot be reached.
    """
    return Knowledge(
        model=settings.llm_model,
        domain=domain(settings.domain),
        templates={
            "summary": chosen(settings, "summary", settings.summary_prompt),
            "shift": chosen(settings, "shift", settings.shift_prompt),
        },
        max_tokens={"summary": settings.summary_max_tokens, "shift": settings.shift_max_tokens},
        style=settings.history_style,
        variant=settings.learn_variant,
        length=settings.learn_length if settings.learn_variant == "no_partition" else None,
        guided=settings.llm_guided,
        items=_items(settings) if settings.history_style == "described" else None,
    )


def _items(settings: Settings) -> str:
    from liber_tasks.interest.item_prompt import item_knowledge  # which words prompts with what is here

    return settings.item_knowledge_version or item_knowledge(settings).version


def knowledge_of(model: str, parameters: Mapping[str, Any], recipe: Mapping[str, Any]) -> Knowledge:
    """The knowledge a row of liber.knowledge_version describes.

    Raises:
        InputError: the recipe holds no domain pack.
    """
    return Knowledge(
        model=model,
        domain=pack(recipe["domain"], "The domain pack kept with the knowledge version"),
        templates={kind: PromptTemplate(kind, recipe["templates"][kind]) for kind in KINDS},
        max_tokens={kind: parameters["max_tokens"][kind] for kind in KINDS},
        style=parameters["style"],
        variant=parameters["variant"],
        length=parameters["length"],
        guided=parameters["guided"],
        items=parameters.get("items"),
    )


def call_key(knowledge: Knowledge, user_id: str, partition_no: int, kind: Kind, prompt: str) -> str:
    """Digest of everything that may change the answer to a rendered prompt."""
    parts = [user_id, partition_no, kind, digest(prompt), knowledge.templates[kind].version, knowledge.model,
             knowledge.parameters]  # fmt: skip
    return digest(as_json(parts))


def chosen(settings: Settings, kind: Kind, uri: str | None) -> PromptTemplate:
    """The template at an address of MLflow's prompt registry; without an address the installed one.

    Raises:
        InputError: there is no such prompt.
        ServiceUnavailable: MLflow cannot be reached.
    """
    if uri is None:
        return template(kind)
    from liber_tasks.interest.wording.registry import load

    return load(settings, kind, uri)


@cache
def template(kind: Kind) -> PromptTemplate:
    """The installed template `templates/<kind>.txt`."""
    return PromptTemplate(kind, (_FOLDER / f"{kind}.txt").read_text(encoding="utf-8"))


def check_variables(found: PromptTemplate, what: str) -> None:
    """Refuse a template that cannot be filled.

    Raises:
        InputError: a variable is missing or unknown; names it, after `what`.
    """
    required, allowed = VARIABLES[found.name]
    for name in sorted(required - found.variables):
        raise InputError(f"{what} has no {{{{{name}}}}}: a {found.name} prompt cannot do without it.")
    for name in sorted(found.variables - allowed):
        known = ", ".join(sorted(allowed))
        raise InputError(f"{what} has {{{{{name}}}}}, which nothing fills: a {found.name} prompt may use {known}.")


def digest(text: str) -> str:
    """SHA-256 of a text, in hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def plain_name(name: str) -> str:
    """What a model or a pack is called within a version's name."""
    return re.sub(r"[^A-Za-z0-9.]+", "-", name).strip("-")[:40]


def origin_name(model: str, domain: Domain) -> str:
    """How the names of versions begin: with the model and the pack."""
    return f"{plain_name(model.rsplit('/', 1)[-1]) or 'model'}-{plain_name(domain.name) or 'pack'}"


def as_json(value: Any) -> str:
    """JSON that is equal for equal values."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
