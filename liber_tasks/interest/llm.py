"""Client of the LLM server: one chat completion at a time, with the patience and the limits a long run needs.

`huggingface_hub` retries nothing, waits forever and raises one error type for every status; what a status means for a
call is decided here, and only here.
"""

import asyncio
import random
import ssl
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError, ServiceUnavailable
from liber_tasks.interest.server.answers import FREE, Answer, Fault, NoAnswer, Spent, answer_text
from liber_tasks.interest.server.dialects import WRAPPING_TOKENS
from liber_tasks.interest.server.pace import Pace, retry_after
from liber_tasks.interest.server.replicas import Replica, Replicas

TRIES = 3  # of one call that fails or answers nothing; waiting for a server that is down or full does not count
FIRST_WAIT = 0.5  # seconds; doubled with each try
LONGEST_WAIT = 8.0
LONGEST_ASKED = 300.0  # seconds of a Retry-After; no run holds its places for longer, unless its patience is longer
PROBE = "Answer with the word yes."
PROBE_TOKENS = 4
UNREACHABLE = "cannot be reached: start it or set LIBER_LLM_URL"
UNREADABLE = "the answer cannot be read"
_OVERLOADED = (429, 503)
_POISON = (400, 413, 422)
_MISCONFIGURED = {
    401: "LIBER_LLM_TOKEN is missing or wrong",
    403: "LIBER_LLM_TOKEN may not use this model",
    404: "check LIBER_LLM_URL and LIBER_LLM_MODEL",
}
_Result = TypeVar("_Result")


class _CallError(LiberError):
    """One call's own failure, with what it cost."""

    def __init__(self, reason: str, spent: Spent = FREE) -> None:
        super().__init__(reason)
        self.spent = spent


class CallPoison(_CallError):
    """The server refuses this very prompt, or has nothing valid to say to it: asking again will not help."""


class CallFailed(_CallError):
    """The server failed on this call several times: a later run may try again."""


class _TryAgain(Exception):
    """One try failed. It may count against `TRIES`; `fault` is what was wrong with an answer."""

    def __init__(
        self, reason: str, *, counts: bool = True, fault: Fault | None = None, spent: Spent = FREE
    ) -> None:  # fmt: skip
        super().__init__(reason)
        self.counts = counts
        self.fault = fault
        self.spent = spent


class LlmClient:
    """Chat completions at temperature 0 from one server or several replicas; use as an asynchronous context manager."""

    def __init__(self, settings: Settings) -> None:
        """Take `llm_*` from settings; connect nothing yet.

        Raises:
            InputError: LIBER_LLM_URL is not set or not an HTTP URL, or LIBER_LLM_CA_FILE is no certificate.
        """
        self._url = settings.require("llm_url")
        self._settings = settings
        self._pace = Pace(settings.llm_in_flight)
        self._replicas = Replicas(settings)
        self._proven = False  # one call was answered
        self._waiting_since: float | None = None  # since when every call met a server that is down or full
        self._refusals, self._refused_at = 0, float("-inf")  # in a row, those together counted once
        self._gave_up: tuple[float, str] = (float("-inf"), "")  # when a call last lost patience, and its last words

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._replicas.close()

    async def complete(self, prompt: str, max_tokens: int) -> Answer:
        """The model's answer, validated; constrained by a schema if `llm_guided` and the server offers it.

        Args:
            prompt: of the user; no system prompt is sent, many chat templates refuse one.
            max_tokens: bound of the text; the JSON around a guided one comes on top.

        Raises:
            CallPoison: only this prompt is refused, or every answer to it is invalid.
            CallFailed: errors of the server, or answers that cannot be read, `TRIES` times.
            ServiceUnavailable: the server is down or full for longer than `llm_patience`, or asks for minutes.
            LiberError: the server refuses every call, or replicas serve different models.
        """
        try:
            answer, thrown = await self._patiently(lambda replica: self._chat(replica, prompt, max_tokens))
        except CallPoison as error:
            cause = error.__cause__
            if not isinstance(cause, _TryAgain) or cause.fault == "free":
                await self._prove()
            raise
        self._proven = True
        return replace(answer, spent=thrown + answer.spent)

    async def excess(self, prompt: str, max_tokens: int) -> int:
        """Tokens that a prompt is over what the server takes; 0: it fits, or the server cannot tell.

        The server is asked only about prompts that may be too long: a token is at least one byte.

        Raises:
            CallFailed, ServiceUnavailable, LiberError: as `complete`.
        """

        async def over(replica: Replica) -> int:
            served = await self._replicas.served(replica)
            room = self._room(max_tokens, guided=bool(served.guidance))
            if served.surely_takes(prompt, room):
                return 0
            count = await self._replicas.count(replica, prompt)
            return 0 if count is None else served.over(count, room)

        known = self._replicas.known()
        if known and known.surely_takes(prompt, self._room(max_tokens, guided=True)):
            return 0
        return (await self._patiently(over))[0]

    def _room(self, max_tokens: int, *, guided: bool) -> int:
        return max_tokens + (WRAPPING_TOKENS if guided and self._settings.llm_guided else 0)

    async def _chat(self, replica: Replica, prompt: str, max_tokens: int) -> Answer:
        """One question to one server."""
        served = await self._replicas.served(replica)
        guidance: dict[str, Any] = served.guidance if self._settings.llm_guided else {}
        begun = time.monotonic()
        output = await replica.client.chat_completion(
            [{"role": "user", "content": prompt}], model=self._settings.llm_model,
            max_tokens=self._room(max_tokens, guided=bool(guidance)), temperature=0, **guidance,
        )  # fmt: skip
        latency = time.monotonic() - begun
        usage = getattr(output, "usage", None)
        tokens = (getattr(usage, "prompt_tokens", None), getattr(usage, "completion_tokens", None))
        spent = Spent(*(count if isinstance(count, int) else 0 for count in tokens))
        try:
            choice = output.choices[0]
            content = choice.message.content
            if content is not None and not isinstance(content, str):
                raise ValueError(f"content is {type(content).__name__}")
            text = answer_text(content, prompt, guided=bool(guidance), cut=choice.finish_reason == "length")
        except NoAnswer as error:
            raise _TryAgain(str(error), fault=error.fault, spent=spent) from error
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise _TryAgain(f"{UNREADABLE}: {type(error).__name__} {error}", spent=spent) from error
        server = f"{served.dialect} {served.model}"
        details = getattr(usage, "prompt_tokens_details", None)
        cached = details.get("cached_tokens") if isinstance(details, dict) else None
        return Answer(text, *tokens, latency, choice.finish_reason, spent, server, bool(guidance), cached)

    async def _patiently(self, work: Callable[[Replica], Awaitable[_Result]]) -> tuple[_Result, Spent]:
        """Its result, and what tries cost that were thrown away."""
        begun, thrown, tries = time.monotonic(), Spent(), 0
        while True:
            try:
                async with self._pace.slot() as started:
                    if self._gave_up[0] >= begun:  # another call, while this one waited
                        raise ServiceUnavailable(self._gave_up[1])
                    return await self._attempt(work, started), thrown
            except _TryAgain as error:
                thrown += error.spent
                if not error.counts:
                    continue  # the pace makes it wait
                tries += 1
                if tries >= TRIES:
                    raise (CallPoison if error.fault else CallFailed)(str(error), thrown) from error
                await asyncio.sleep(self._backoff(tries - 1))
            except CallPoison as error:
                error.spent = thrown + error.spent
                raise

    async def _attempt(self, work: Callable[[Replica], Awaitable[_Result]], started: float) -> _Result:
        """One try, its outcome told to pace and replicas."""
        with self._replicas.pick() as replica:
            try:
                async with asyncio.timeout(self._settings.llm_timeout):
                    result = await work(replica)
            except _TryAgain:  # it answered, if nothing of use
                self._answered(replica)
                raise
            except (HfHubHTTPError, httpx2.HTTPStatusError) as error:
                raise self._judged(error, replica, started) from error
            except (InferenceTimeoutError, TimeoutError, httpx2.TimeoutException) as error:
                if _in_chain(error, httpx2.ConnectTimeout):
                    raise self._gone(replica, started) from error
                raise _TryAgain(f"no answer within {self._settings.llm_timeout:g} s (LIBER_LLM_TIMEOUT)") from error
            except httpx2.ConnectError as error:
                if secure := _in_chain(error, ssl.SSLError):
                    raise LiberError(
                        f"The LLM server at {replica.url} cannot be trusted ({secure}): set LIBER_LLM_CA_FILE to the "
                        "certificate of the authority that signed its key, or check LIBER_LLM_URL."
                    ) from error
                raise self._gone(replica, started) from error
            except httpx2.HTTPError as error:
                raise _TryAgain(f"the connection broke: {type(error).__name__} {error}".strip()) from error
            except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
                if status := _in_chain(error, httpx2.HTTPStatusError):  # whose body the library cannot read
                    raise self._judged(status, replica, started) from error
                raise _TryAgain(f"{UNREADABLE}: {type(error).__name__} {error}") from error
            self._answered(replica)
            return result

    def _answered(self, replica: Replica) -> None:
        self._waiting_since, self._refusals = None, 0
        self._pace.answered()
        self._replicas.answered(replica)

    def _judged(self, error: HfHubHTTPError | httpx2.HTTPStatusError, replica: Replica, started: float) -> Exception:
        """What an HTTP status means for the call."""
        response = error.response
        status = response.status_code
        message = str(getattr(error, "server_message", None) or response.text or error)
        if self._settings.llm_token:  # some servers repeat it
            message = message.replace(self._settings.llm_token.get_secret_value(), "***")
        reason = f"HTTP {status}: {' '.join(message.split())[:300]}"
        if status in _OVERLOADED:
            asked = retry_after(response.headers.get("Retry-After"), datetime.now(UTC))
            # Of several servers one that is loading is left out, the others go on as before.
            all_rest = self._replicas.rest(replica) if status == 503 else True
            told = f", Retry-After: {asked:.0f} s" if asked else ""
            outcome = self._wait(f"is overloaded ({reason}{told})", started, (asked or 0) if all_rest else 0)
            if all_rest and isinstance(outcome, _TryAgain):
                self._pace.overloaded(started, self._pause(started) if asked is None else asked)
            return outcome
        self._waiting_since = None
        if status in _POISON:
            return CallPoison(reason)
        if status >= 500 or status in (408, 424):  # TGI answers 424 when generation fails
            return _TryAgain(reason)
        hint = _MISCONFIGURED.get(status, "it does not speak the OpenAI chat API")
        return LiberError(f"The LLM server at {replica.url} refuses calls ({reason}): {hint}.")

    def _gone(self, replica: Replica, started: float) -> Exception:
        """The server takes no connection."""
        all_rest = self._replicas.rest(replica, gone=True)
        outcome = self._wait(UNREACHABLE, started, 0)
        if all_rest and isinstance(outcome, _TryAgain):
            self._pace.down(started, self._pause(started))
        return outcome

    def _pause(self, started: float) -> float:
        """Before the next call, of all; longer with each refusal in a row."""
        if started > self._refused_at:
            self._refusals, self._refused_at = self._refusals + 1, time.monotonic()
        return self._backoff(self._refusals - 1)

    @staticmethod
    def _backoff(waits: int) -> float:
        return min(LONGEST_WAIT, FIRST_WAIT * 2 ** min(waits, 10)) * random.uniform(0.5, 1.0)

    def _wait(self, state: str, started: float, pause: float) -> Exception:
        """Patience with a server that takes no call at all; an answer to any call restores it."""
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = started
        patience = self._settings.llm_patience
        if pause > max(LONGEST_ASKED, patience) or now - self._waiting_since > patience + pause:
            self._gave_up = (now, f"LLM server at {self._url} {state}; nothing is lost, re-run to continue.")
            return ServiceUnavailable(self._gave_up[1])
        return _TryAgain(state, counts=False)

    async def _prove(self) -> None:
        """Tell a poisonous prompt from a server that refuses all of them: it must answer a harmless one."""
        if self._proven:
            return
        try:
            async with self._pace.slot() as started:
                await self._attempt(lambda replica: self._chat(replica, PROBE, PROBE_TOKENS), started)
        except CallPoison as error:
            reason = f"refuses every call ({error}): check LIBER_LLM_MODEL, LIBER_LLM_GUIDED and the server"
            raise LiberError(f"The LLM server at {self._url} {reason}.") from error
        except _TryAgain as error:
            if error.fault == "free":
                reason = "ignores the schema it is asked for: set LIBER_LLM_GUIDED=false"
                raise LiberError(f"The LLM server at {self._url} {reason}.") from error
        self._proven = True


def _in_chain(error: BaseException | None, kind: type[_Result]) -> _Result | None:
    """The first of a kind among an error and its causes."""
    while error and not isinstance(error, kind):
        error = error.__cause__ or error.__context__
    return error  # type: ignore[return-value]
