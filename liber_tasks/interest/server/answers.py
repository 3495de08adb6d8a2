"""What counts as an answer: the text a model wrote, cleaned, or why it is none. Pure.

The rules are conservative. A doubtful text is kept: a reader can judge it, a missing one he cannot.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

# The only schema ever sent: servers compile a grammar for each and keep few of them (TGI: 32).
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}
WORDS_KEPT = 3  # a cut answer with so many words is still of use
_LONGEST_PERIOD = 12  # words; of a loop
_SENTENCE_WORDS = 4
_VARIED_WORDS = 30  # from so many words on, a fifth of them must differ

Fault = Literal["empty", "free", "schema", "repeated", "refused", "echo"]  # free: text where JSON was to be

_CUT_TEXT = re.compile(r'\s*\{\s*"text"\s*:\s*"((?:[^"\\]|\\.)*)', re.DOTALL)
_OPENING = re.compile(
    r"(?:(?:sure|certainly|of course|absolutely|okay|ok)(?:[!,.:]+\s*|\s+(?=here\b)))?"
    r"(?:here(?:'s|’s| is| are)\b[^:\n]{0,40}\b(?:summary|sentence|answer|description|response|overview|analysis)s?\b"
    r"[^:\n]{0,80}:\s*)?",
    re.IGNORECASE,
)
_REFUSAL = re.compile(
    r"(?:(?:i am|i'm) (?:really |very |truly )?sorry\b"
    r"|(?:sorry|my apologies|i apologi[sz]e|unfortunately)\b,? (?:but )?(?:i|as an)\b"
    r"|as an? (?:ai\b|artificial intelligence|(?:large )?language model)"
    r"|(?:i am|i'm) (?:just |only )?an? (?:ai\b|artificial intelligence|(?:large )?language model)"
    r"|i (?:can't|cannot|can not|won't|am unable to|am not able to|'m unable to|'m not able to)"
    r" (?:help|assist|provide|answer|comply|fulfil|determine|generate|create|do that|give|access|infer|say)"
    r"|(?:i am|i'm) (?:unable|not able) to (?:help|assist|provide|answer|comply|determine|generate|give|access|infer)"
    r"|i (?:do not|don't) have (?:access|enough|any|sufficient)\b)",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class Spent:
    """Tokens of all tries of a call, answers that were thrown away included, as the server counted them."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, other: "Spent") -> "Spent":
        return Spent(self.prompt_tokens + other.prompt_tokens, self.completion_tokens + other.completion_tokens)


FREE = Spent()


@dataclass(frozen=True)
class Answer:
    """What the model wrote.

    Attributes:
        text: without chat opening, quotes and surrounding white space; never empty.
        prompt_tokens: as the server counted them; None when it does not.
        completion_tokens: likewise.
        latency_seconds: of the successful try, queueing in the server included.
        finish_reason: "stop", or "length" when the bound on tokens cut the text.
        spent: over all tries.
        server: its dialect and the model as it names it.
        guided: whether the output was constrained by a schema.
        cached_tokens: of the prompt, what the server had in its prefix cache; None when it does not say.
    """

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_seconds: float
    finish_reason: str | None
    spent: Spent
    server: str
    guided: bool
    cached_tokens: int | None = None


class NoAnswer(Exception):
    """What came back is no answer; `fault` says which kind of none."""

    def __init__(self, fault: Fault, reason: str) -> None:
        super().__init__(reason)
        self.fault: Fault = fault


def answer_text(content: str | None, prompt: str, *, guided: bool, cut: bool) -> str:
    """The text of an answer without its wrapping: JSON, a chat opening ("Sure! Here is ...:"), quotes, white space.

    Args:
        content: what the server returned.
        prompt: what it was asked.
        guided: its output was to follow `SCHEMA`.
        cut: the bound on tokens ended it.

    Raises:
        NoAnswer: it is empty, breaks the schema, goes round in a loop, refuses, or repeats its instruction.
    """
    written = (content or "").replace("\0", "").strip()
    if not written:
        raise NoAnswer("empty", "the answer is empty")
    if guided:
        written = _field(written, cut)
    text = _unwrapped(written)
    if not text:
        raise NoAnswer("empty", "the answer is empty")
    if _REFUSAL.match(text.replace("’", "'")):
        raise NoAnswer("refused", f"the model refuses: {_start(text)}")
    if _echoes(text, prompt):
        raise NoAnswer("echo", f"the answer repeats the instruction: {_start(text)}")
    if loops(text):
        raise NoAnswer("repeated", f"the answer goes round in a loop: {_start(text)}")
    return text


def loops(text: str) -> bool:
    """Whether a text repeats itself: a word or phrase over and over in a row, a sentence three times, or few words.

    Four times in a row for one or two words, three times for longer phrases. Lists of genres and titles do not.
    """
    words = [word.lower() for word in _WORD.findall(text)]
    if len(words) >= _VARIED_WORDS and len(set(words)) * 5 < len(words):
        return True
    sentences = [" ".join(_WORD.findall(sentence.lower())) for sentence in re.split(r"[.!?;\n]+", text)]
    if any(sentence.count(" ") + 1 >= _SENTENCE_WORDS and sentences.count(sentence) >= 3 for sentence in sentences):
        return True
    return any(
        _longest_run(words, period) >= (3 if period <= 2 else 2) * period
        for period in range(1, min(_LONGEST_PERIOD, len(words) // 3) + 1)
    )


def _longest_run(words: Sequence[str], period: int) -> int:
    """Most neighbours in a row that equal the word `period` before them."""
    longest = run = 0
    for before, word in zip(words, words[period:], strict=False):
        run = run + 1 if before == word else 0
        longest = max(longest, run)
    return longest


def _field(written: str, cut: bool) -> str:
    """The schema's one field; of JSON that was cut, what was written of it."""
    if not written.startswith("{"):
        raise NoAnswer("free", f"the answer breaks the schema, it is not JSON: {_start(written)}")
    try:
        value = json.loads(written, strict=False)
    except ValueError:
        found = _CUT_TEXT.match(written) if cut else None
        if not found:
            raise NoAnswer("schema", f"the answer breaks the schema, it is not JSON: {_start(written)}") from None
        text = _decoded(found[1])
        if len(text.split()) < WORDS_KEPT:
            raise NoAnswer("schema", f"the answer breaks the schema, it was cut: {_start(written)}") from None
        return text
    if not isinstance(value, dict) or set(value) != {"text"} or not isinstance(value["text"], str):
        raise NoAnswer("schema", f"the answer breaks the schema: {_start(written)}")
    return str(value["text"]).replace("\0", "").strip()


def _decoded(escaped: str) -> str:
    """A JSON string's inside without an escape that was cut."""
    for dropped in range(min(12, len(escaped)) + 1):  # a pair of \uXXXX is the longest
        try:
            text = json.loads(f'"{escaped[: len(escaped) - dropped]}"', strict=False)
        except ValueError:
            continue
        if not re.search("[\ud800-\udfff]", text):
            return str(text).replace("\0", "").strip()
    return ""


def _unwrapped(text: str) -> str:
    """Without a chat opening and without quotes around the whole."""
    stripped = text[_OPENING.match(text).end() :].strip()  # type: ignore[union-attr]
    text = stripped or text
    for opening, closing in ('""', "''", "“”", "‘’", "``", "**"):
        inside = text[1:-1]
        if len(text) > 2 and text[0] == opening and text[-1] == closing and not {opening, closing} & set(inside):
            return inside.strip()
    return text


def _echoes(text: str, prompt: str) -> bool:
    """Whether it starts with the prompt's first or last sentence (of five words or more)."""
    said = _WORD.findall(text.lower())
    sentences = [_WORD.findall(sentence.lower()) for sentence in re.split(r"(?<=[.!?])\s|\n", prompt)]
    sentences = [sentence for sentence in sentences if sentence]
    ends = (sentences[0], sentences[-1]) if sentences else ()
    return any(len(sentence) >= 5 and said[: len(sentence)] == sentence for sentence in ends)


def _start(text: str) -> str:
    line = " ".join(text.split())
    return repr(line if len(line) <= 80 else line[:79] + "…")
