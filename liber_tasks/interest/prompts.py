"""Prompts as versioned data: templates, domain packs, and what names a text's origin (paper, section 3.3, Figure 3)."""

import hashlib
import json
import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Any, Literal

from liber_tasks.config import Settings
from liber_tasks.errors import InputError

Kind = Literal["summary", "shift"]
FOLDER = Path(__file__).parent
TITLE_CHARACTERS = 100
ATTRIBUTE_CHARACTERS = 40
TEXT_CHARACTERS = 1200
HISTORY_CHARACTERS = 4000  # with the rest, within 2048 tokens of common tokenizers
# Models mark turns with <|...|>, <s> or [INST]; servers would read such a title as a mark.
_MARKS = str.maketrans("<>[]|", "()()/")
_FIELD = re.compile(r"{(\w+)}")


@dataclass(frozen=True)
class PromptTemplate:
    """A template file; its version changes with its text."""

    name: str
    text: str

    @property
    def version(self) -> str:
        """Name and digest, as kept with every text."""
        return f"{self.name}/{_digest(self.text)[:8]}"

    def render(self, **parts: str) -> str:
        """The prompt. Parts are inserted once and never read as template."""
        return Template(self.text).substitute(parts).strip()


@dataclass(frozen=True)
class Domain:
    """How a catalogue is worded. Pieces are texts with `{attribute}`; without the attribute a piece is left out."""

    name: str
    items: str
    factors: str  # the paper's dataset-specific factors
    user: tuple[str, ...]
    item: tuple[str, ...]
    facts: str  # attribute of items that is counted
    liked: float
    disliked: float
    response: dict[str, tuple[str, ...]]
    words: dict[str, dict[str, str]]
    digest: str

    def fill(self, pieces: Sequence[str], values: Mapping[str, Any], limit: int = ATTRIBUTE_CHARACTERS) -> list[str]:
        """The pieces whose attributes are all there, filled in."""
        filled = []
        for piece in pieces:
            found = {name: self._word(name, values.get(name), limit) for name in _FIELD.findall(piece)}
            if all(found.values()):
                filled.append(_FIELD.sub(lambda field, found=found: found[field[1]], piece))  # type: ignore[misc]
        return filled

    def _word(self, name: str, value: Any, limit: int) -> str:
        if value is None:
            return ""
        plain = clean(", ".join(map(str, value)) if isinstance(value, list) else str(value), limit)
        return self.words.get(name, {}).get(plain, plain)


@dataclass(frozen=True)
class Knowledge:
    """What texts are made with; a row of liber.knowledge_version.

    Attributes:
        version: readable name with a digest of all that follows.
        model: name sent to the server.
        domain: wording of the catalogue.
        templates: by kind.
        max_tokens: bound of an answer, by kind.
    """

    version: str
    model: str
    domain: Domain
    templates: dict[Kind, PromptTemplate]
    max_tokens: dict[Kind, int]

    @property
    def parameters(self) -> dict[str, Any]:
        """Everything besides model and prompts that shapes a text."""
        return {
            "domain": f"{self.domain.name}/{self.domain.digest[:8]}",
            "temperature": 0,
            "max_tokens": self.max_tokens,
            "history_characters": HISTORY_CHARACTERS,
        }


@dataclass(frozen=True)
class Call:
    """One question to the LLM. Equal keys mean the same question about the same partition."""

    key: str
    user_key: int
    partition_no: int
    kind: Kind
    prompt: str
    input_sha256: str
    max_tokens: int


def knowledge_version(settings: Settings) -> Knowledge:
    """Version that these settings make texts with (`llm_model`, `domain`, `*_max_tokens`).

    Raises:
        InputError: there is no pack for the domain.
    """
    bounds: dict[Kind, int] = {"summary": settings.summary_max_tokens, "shift": settings.shift_max_tokens}
    return knowledge_made_with(settings.llm_model, settings.domain, bounds)


def knowledge_made_with(model: str, domain_name: str, max_tokens: dict[Kind, int]) -> Knowledge:
    """Version that this model, this pack, these bounds and the installed templates make texts with.

    Raises:
        InputError: there is no pack for the domain.
    """
    pack = domain(domain_name)
    templates: dict[Kind, PromptTemplate] = {"summary": template("summary"), "shift": template("shift")}
    unnamed = Knowledge("", model, pack, templates, max_tokens)
    parts = [model, [prompt.version for prompt in templates.values()], unnamed.parameters]
    name = re.sub(r"[^A-Za-z0-9.]+", "-", model.rsplit("/", 1)[-1]).strip("-")[:40] or "model"
    version = f"{name}-{pack.name}-{_digest(_json(parts))[:10]}"
    return Knowledge(version, model, pack, templates, max_tokens)


def call(knowledge: Knowledge, user_key: int, user_id: str, partition_no: int, kind: Kind, prompt: str) -> Call:
    """The call for a rendered prompt; its key is a digest of everything that may change the answer."""
    input_sha256 = _digest(prompt)
    parts = [user_id, partition_no, kind, input_sha256, knowledge.templates[kind].version, knowledge.model,
             knowledge.parameters]  # fmt: skip
    return Call(_digest(_json(parts)), user_key, partition_no, kind, prompt, input_sha256, knowledge.max_tokens[kind])


@cache
def template(name: str) -> PromptTemplate:
    """The template `templates/<name>.txt`."""
    return PromptTemplate(name, (FOLDER / "templates" / f"{name}.txt").read_text(encoding="utf-8"))


@cache
def domain(name: str) -> Domain:
    """The pack `domains/<name>.toml`.

    Raises:
        InputError: there is no such pack; lists those there are.
    """
    packs = {file.stem: file for file in sorted((FOLDER / "domains").glob("*.toml"))}
    if name not in packs:
        raise InputError(f"LIBER_DOMAIN is {name!r}: choose one of {', '.join(packs)}, or add domains/{name}.toml.")
    source = packs[name].read_text(encoding="utf-8")
    read = tomllib.loads(source)
    return Domain(
        name=name,
        items=read["items"],
        factors=read["factors"],
        user=tuple(read["user"]),
        item=tuple(read["item"]),
        facts=read["facts"],
        liked=read["liked"],
        disliked=read["disliked"],
        response={kind: tuple(pieces) for kind, pieces in read["response"].items()},
        words=read.get("words", {}),
        digest=_digest(_json(read)),
    )


def clean(text: str, limit: int) -> str:
    """Untrusted text on one line: no control or invisible characters, no chat marks, at most `limit` characters."""
    visible = "".join(" " if unicodedata.category(c)[0] in "CZ" else c for c in text)
    line = " ".join(visible.translate(_MARKS).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def quote(text: str, limit: int) -> str:
    """Untrusted text as one quoted string: its own quotes and backslashes are escaped, so it cannot end early."""
    return json.dumps(clean(text, limit), ensure_ascii=False)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False)
