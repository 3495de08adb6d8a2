"""Client of the LLM server: one chat completion at a time, with the patience and the limits a long run needs.

Speaks the OpenAI dialect that TGI, vLLM, SGLang and llama.cpp share. `huggingface_hub` retries nothing, waits forever
and raises one error type for every status; what a status means for a call is decided here, and only here.
"""

import asyncio
import random
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self

import httpx2
from huggingface_hub import AsyncInferenceClient, set_async_client_factory
from huggingface_hub.errors import HfHubHTTPError, InferenceTimeoutError

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError, ServiceUnavailable
from liber_tasks.interest.pace import Pace
from liber_tasks.interest.replicas import Replicas

TRIES = 3  # of one call that fails or answers nothing; waiting for a server that is down or full does not count
FIRST_WAIT = 0.5  # seconds; doubled with each try
LONGEST_WAIT = 8.0
CONNECT_SECONDS = 10.0
PROBE = "Answer with the word yes."
UNREACHABLE = "cannot be reached: start it or set LIBER_LLM_URL"
_OVERLOADED = (429, 503)
_POISON = (400, 413, 422)
_MISCONFIGURED = {
    401: "LIBER_LLM_TOKEN is missing or wrong",
    403: "LIBER_LLM_TOKEN may not use this model",
    404: "check LIBER_LLM_URL and LIBER_LLM_MODEL",
}


@dataclass(frozen=True)
class Answer:
    """What the model wrote.

    Attributes:
        text: without surrounding white space; never empty.
        prompt_tokens: as the server counted them; None when it does not.
        completion_tokens: likewise.
        latency_seconds: of the successful try, queueing in the server included.
        finish_reason: "stop", or "length" when `max_tokens` cut the text.
    """

    text: str
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_seconds: float
    finish_reason: str | None


class CallPoison(LiberError):
    """The server refuses this very prompt, or has nothing to say to it: asking again will not help."""


class CallFailed(LiberError):
    """The server failed on this call several times: a later run may try again."""


class _TryAgain(Exception):
    """One try failed; `spent` says whether it counts against `TRIES`."""

    def __init__(self, reason: str, *, spent: bool = True, empty: bool = False) -> None:
        super().__init__(reason)
        self.spent = spent
        self.empty = empty


class LlmClient:
    """Chat completions at temperature 0 from one server or several replicas; use as an asynchronous context manager."""

    def __init__(self, settings: Settings) -> None:
        """Take `llm_url`, `llm_model`, `llm_token`, `llm_timeout`, `llm_patience`, `llm_in_flight` from settings.

        Raises:
            InputError: LIBER_LLM_URL is not set or not an HTTP URL.
        """
        self._url = settings.require("llm_url")
        self._settings = settings
        self._pace = Pace(settings.llm_in_flight)
        self._proven = False  # one call was answered
        self._waiting_since: float | None = None  # since when every call met a server that is down or full
        # Its default client bounds the pool and refuses to work where HF_HUB_OFFLINE is set, also for our own server.
        set_async_client_factory(lambda: httpx2.AsyncClient(limits=httpx2.Limits(max_connections=None)))
        timeout = httpx2.Timeout(settings.llm_timeout, connect=min(CONNECT_SECONDS, settings.llm_timeout))
        token = settings.llm_token.get_secret_value() if settings.llm_token else None
        # Without a key of ours the library would send the user's own Hugging Face token to this server.
        self._replicas = Replicas(
            self._url,
            lambda url: AsyncInferenceClient(base_url=url, api_key=token or "none", timeout=timeout),  # type: ignore[arg-type]
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._replicas.close()

    async def complete(self, prompt: str, max_tokens: int) -> Answer:
        """The model's answer.

        Args:
            prompt: of the user; no system prompt is sent, many chat templates refuse one.
            max_tokens: bound of the answer.

        Raises:
            CallPoison: only this prompt is refused, or its answers are empty.
            CallFailed: errors of the server, or answers that cannot be read, `TRIES` times.
            ServiceUnavailable: the server is down or full for longer than `llm_patience`.
            LiberError: the server refuses every call.
        """
        spent = waits = 0
        while True:
            try:
                async with self._pace.slot() as started:
                    answer = await self._try(prompt, max_tokens, started)
            except _TryAgain as error:
                spent += error.spent
                if spent >= TRIES:
                    raise (CallPoison if error.empty else CallFailed)(str(error)) from error
                await asyncio.sleep(min(LONGEST_WAIT, FIRST_WAIT * 2**waits) * random.uniform(0.5, 1.0))
                waits += 1
                continue
            except CallPoison:
                await self._prove()
                raise
            self._proven = True
            return answer

    async def _try(self, prompt: str, max_tokens: int, started: float) -> Answer:
        """One request, its outcome told to the pace."""
        try:
            async with asyncio.timeout(self._settings.llm_timeout):
                with self._replicas.pick() as client:
                    output = await client.chat_completion(
                        [{"role": "user", "content": prompt}],
                        model=self._settings.llm_model, max_tokens=max_tokens, temperature=0,
                    )  # fmt: skip
            answer = _read(output, time.monotonic() - started)
        except HfHubHTTPError as error:
            raise self._judged(error, started) from error
        except (InferenceTimeoutError, TimeoutError) as error:
            if isinstance(error.__cause__, httpx2.ConnectTimeout):
                raise self._wait(UNREACHABLE, started, 0) from error
            raise _TryAgain(f"no answer within {self._settings.llm_timeout:g} s (LIBER_LLM_TIMEOUT)") from error
        except httpx2.ConnectError as error:
            raise self._wait(UNREACHABLE, started, 0) from error
        except httpx2.HTTPError as error:
            raise _TryAgain(f"the connection broke: {type(error).__name__} {error}".strip()) from error
        except (ValueError, TypeError, AttributeError, KeyError, IndexError) as error:
            raise _TryAgain(f"the answer cannot be read: {type(error).__name__} {error}") from error
        self._waiting_since = None
        self._pace.answered()
        if not answer.text:
            raise _TryAgain("the answer is empty", empty=True)
        return answer

    def _judged(self, error: HfHubHTTPError, started: float) -> Exception:
        """What an HTTP status means for the call."""
        status = error.response.status_code
        reason = f"HTTP {status}: {' '.join(str(error.server_message or error).split())[:300]}"
        if status in _OVERLOADED:
            pause = retry_after(error.response.headers.get("Retry-After"), datetime.now(UTC))
            self._pace.overloaded(started, FIRST_WAIT if pause is None else pause)
            return self._wait(f"is overloaded ({reason})", started, pause or 0)
        self._waiting_since = None
        if status in _POISON:
            return CallPoison(reason)
        if status >= 500 or status in (408, 424):  # TGI answers 424 when generation fails
            return _TryAgain(reason)
        hint = _MISCONFIGURED.get(status, "it does not speak the OpenAI chat API")
        return LiberError(f"The LLM server at {self._url} refuses calls ({reason}): {hint}.")

    def _wait(self, state: str, started: float, pause: float) -> Exception:
        """Patience with a server that takes no call at all; an answer to any call restores it."""
        now = time.monotonic()
        if self._waiting_since is None:
            self._waiting_since = started
        if now - self._waiting_since > self._settings.llm_patience + pause:
            return ServiceUnavailable(f"LLM server at {self._url} {state}; nothing is lost, re-run to continue.")
        return _TryAgain(state, spent=False)

    async def _prove(self) -> None:
        """Tell a poisonous prompt from a server that refuses all of them: it must answer a harmless one."""
        if self._proven:
            return
        try:
            async with self._pace.slot() as started:
                await self._try(PROBE, 4, started)
        except CallPoison as error:
            raise LiberError(
                f"The LLM server at {self._url} refuses every call ({error}): check LIBER_LLM_MODEL and the server."
            ) from error
        except _TryAgain:
            pass
        self._proven = True


def _read(output: object, latency: float) -> Answer:
    choice = output.choices[0]  # type: ignore[attr-defined]
    usage = getattr(output, "usage", None)
    text = choice.message.content
    if text is not None and not isinstance(text, str):
        raise ValueError(f"content is {type(text).__name__}")
    return Answer(
        text=(text or "").replace("\0", "").strip(),
        prompt_tokens=getattr(usage, "prompt_tokens", None),
        completion_tokens=getattr(usage, "completion_tokens", None),
        latency_seconds=latency,
        finish_reason=choice.finish_reason,
    )


def retry_after(header: str | None, now: datetime) -> float | None:
    """Seconds that a Retry-After header asks for (a number or an HTTP date); None when it asks for nothing.

    Args:
        header: its value.
        now: with time zone.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            moment = parsedate_to_datetime(header)
        except ValueError:
            return None
        seconds = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() - now.timestamp()
    return max(0.0, seconds) if seconds < float("inf") else None
