"""What a server says about a prompt without the prompt: errors are kept in the ledger and written into logs. Pure."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from liber_tasks.errors import LiberError

LEFT_OUT = "[prompt]"
SHORTEST = 12  # characters in a row that count as a quotation; a shorter title alone passes


def without_prompt(message: str, prompt: str) -> str:
    """The message with every run of `SHORTEST` or more characters of the prompt left out, plain or escaped as JSON."""
    escaped = [json.dumps(prompt, ensure_ascii=flag)[1:-1] for flag in (True, False)]
    forms = [" ".join(text.split()) for text in (prompt, *escaped)] + escaped
    kept, at = [], 0
    while at < len(message):
        end = at + SHORTEST
        if end > len(message) or not any(message[at:end] in form for form in forms):
            kept.append(message[at])
            at += 1
            continue
        while end < len(message) and any(message[at : end + 1] in form for form in forms):
            end += 1
        kept.append(LEFT_OUT)
        at = end
    return "".join(kept)


@contextmanager
def unquoted(prompt: str) -> Iterator[None]:
    """Errors raised inside say nothing of the prompt, nor do their causes, which a traceback in a log would show."""
    try:
        yield
    except LiberError as error:
        error.args = (without_prompt(str(error), prompt),)
        raise error from None
