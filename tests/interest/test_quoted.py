"""No prompt in what is kept of a server's errors: ledger, log and message."""

import json
import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError
from liber_tasks.interest import llm
from liber_tasks.interest.learn import learn
from liber_tasks.interest.server.quoted import LEFT_OUT, SHORTEST, unquoted, without_prompt
from tests.interest.data import add_user, rows
from tests.interest.faults import GOOD, Reply, faulty

TITLE = 'Zaubertitel "Nr. 17"\nund mehr'
WORDS = st.text(st.characters(blacklist_categories=("Cs", "Zs", "Cc", "Zl", "Zp")), min_size=SHORTEST, max_size=40)


@given(WORDS, st.text(max_size=20), st.text(max_size=20), st.booleans())
def test_a_quotation_is_left_out_wherever_it_is(quoted: str, before: str, after: str, escaped: bool) -> None:
    said = json.dumps(quoted)[1:-1] if escaped else quoted
    message = without_prompt(f"{before}{said}{after}", f"Say what: {quoted}.")
    assert said not in message
    assert LEFT_OUT in message


def test_a_message_of_the_servers_own_stays_as_it_is() -> None:
    said = "HTTP 422: inputs must have less than 4096 tokens, given 5011"
    assert without_prompt(said, "A person liked these films: Heat, Alien. What do they like?") == said


def refused(prompt: str) -> None:
    """As the client raises what a server said."""
    with unquoted(prompt):
        try:
            raise ValueError(prompt)
        except ValueError as error:
            raise LiberError(f"HTTP 400: {prompt}") from error


def test_an_error_and_the_causes_that_a_log_would_show_say_nothing_of_the_prompt() -> None:
    with pytest.raises(LiberError, match=r"^HTTP 400: \[prompt\]$") as caught:
        refused("liked Blade Runner and Fargo")
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("status", [422, 500])
def test_a_server_that_sends_prompts_back_brings_none_into_ledger_or_log(
    engine: Engine, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    monkeypatch.setattr(llm, "FIRST_WAIT", 0.01)
    caplog.set_level(logging.DEBUG, "liber")
    add_user(engine, "u-4711", 2, titles=(TITLE,), attributes={"note": "Geheimnis des Nutzers"})

    def echo(number: int, prompt: str) -> Reply:
        about_user = "Zaubertitel" in prompt
        tail = prompt[prompt.rfind("Zaubertitel") - 40 :]
        return Reply(status, json.dumps({"error": f"cannot read {tail}"})) if about_user else GOOD

    with faulty(echo) as seen:
        here = settings.model_copy(update={"llm_url": seen.url, "llm_guided": False})
        report = learn(engine, here)
    assert report.quarantined + report.failed == 2
    errors = rows(engine, "SELECT error FROM liber.llm_call WHERE error IS NOT NULL")
    assert len(errors) == 2
    assert all(LEFT_OUT in error and f"HTTP {status}" in error for (error,) in errors)
    everything = [row for (row,) in rows(engine, "SELECT l::text FROM liber.llm_call l")]
    for secret in ("Zaubertitel", "Geheimnis"):
        assert secret not in "".join(everything)
        assert secret not in caplog.text
