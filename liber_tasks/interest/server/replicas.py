"""Several LLM servers with the same model behind one client: each call goes to the one with the fewest in flight."""

import asyncio
import itertools
import math
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2
from huggingface_hub import AsyncInferenceClient, set_async_client_factory

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest.server.dialects import Served, counted, recognised

REST_SECONDS = 5.0  # a server that takes no calls is left out for so long, while others answer
CONNECT_SECONDS = 10.0
CONNECT_SECONDS_A_CALL = 0.05  # more for each call in flight: a thousand connections at once take their time
CONNECTIONS_A_POOL = 32
HEALTH_SECONDS = 5.0
_ABSENT = (400, 403, 404, 405, 413, 422, 501)  # statuses of a probe: the server offers no such thing

_trusted: ContextVar[tuple[ssl.SSLContext | bool, int]] = ContextVar(
    "_trusted", default=(True, 1)
)  # and calls in flight


class _Pools(httpx2.AsyncBaseTransport):
    """Connections in several pools, in turns: for each call a pool looks at all of its connections, twice."""

    def __init__(self, pools: int, trust: ssl.SSLContext | bool) -> None:
        limits = httpx2.Limits(max_connections=None)
        self._pools = [httpx2.AsyncHTTPTransport(limits=limits, verify=trust) for _ in range(pools)]
        self._turns = itertools.cycle(self._pools)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        return await next(self._turns).handle_async_request(request)

    async def aclose(self) -> None:
        for pool in self._pools:
            await pool.aclose()


def _session() -> httpx2.AsyncClient:
    """Connections of one inference client. The library's own bound the pool and refuse to work under HF_HUB_OFFLINE."""
    trust, in_flight = _trusted.get()
    return httpx2.AsyncClient(transport=_Pools(math.ceil(in_flight / CONNECTIONS_A_POOL), trust))


@dataclass
class Replica:
    """One server.

    Attributes:
        url: as set.
        root: of the server, where its own endpoints are.
        client: for chat.
        probes: for its other endpoints.
        in_flight: calls.
        rests_until: monotonic clock; None: it is in use.
        served: what it says about itself, once asked.
    """

    url: str
    root: str
    client: AsyncInferenceClient
    probes: httpx2.AsyncClient
    in_flight: int = 0
    rests_until: float | None = None
    served: Served | None = None
    recognising: asyncio.Lock = field(default_factory=asyncio.Lock)
    visit: asyncio.Task[None] | None = None

    async def ask(self, path: str, body: Mapping[str, Any] | None) -> Any:
        """Answer of one of its other endpoints; None where it has no such thing.

        Raises:
            httpx2.HTTPError: it cannot be reached, refuses the token, or fails.
        """
        response = await self.probes.request("GET" if body is None else "POST", self.root + path, json=body)
        if response.status_code in _ABSENT or response.is_redirect:
            return None
        response.raise_for_status()
        try:
            return response.json()
        except ValueError:
            return None


class Replicas:
    """The servers of one LIBER_LLM_URL: one address, or several separated by commas."""

    def __init__(self, settings: Settings) -> None:
        """Connect nothing yet.

        Raises:
            InputError: an address is not an HTTP URL, or LIBER_LLM_CA_FILE is not a certificate.
        """
        self._settings = settings
        urls = settings.require("llm_url")
        addresses = [url.strip() for url in urls.split(",")]
        for url in addresses:
            if not url.startswith(("http://", "https://")):
                raise InputError(f"LIBER_LLM_URL is {urls!r}: write http://host:port or https://host, commas between.")
        self._trust = trust(settings.llm_ca_file)
        set_async_client_factory(_session)
        self._replicas = [self._replica(url) for url in addresses]

    def _replica(self, url: str) -> Replica:
        settings = self._settings
        patience = CONNECT_SECONDS + CONNECT_SECONDS_A_CALL * settings.llm_in_flight
        timeout = httpx2.Timeout(settings.llm_timeout, connect=min(patience, settings.llm_timeout))
        # Without a key of ours the library would send the user's own Hugging Face token to this server.
        token = settings.llm_token.get_secret_value() if settings.llm_token else "none"
        client = AsyncInferenceClient(base_url=url, api_key=token, timeout=timeout)  # type: ignore[arg-type]
        headers = {"Authorization": f"Bearer {token}"}
        root = url.rstrip("/").removesuffix("/chat/completions").removesuffix("/v1").rstrip("/")
        return Replica(url, root, client, httpx2.AsyncClient(headers=headers, timeout=timeout, verify=self._trust))

    @contextmanager
    def pick(self) -> Iterator[Replica]:
        """The least busy server in use; where all rest, the one that has rested longest is tried."""
        now = time.monotonic()
        self._visit_rested(now)
        replica = min(self._replicas, key=lambda each: (each.rests_until or 0.0, each.in_flight))
        _trusted.set((self._trust, self._settings.llm_in_flight))
        replica.in_flight += 1
        try:
            yield replica
        finally:
            replica.in_flight -= 1

    def rest(self, replica: Replica, *, gone: bool = False) -> bool:
        """Leave a server out that takes no calls; returns whether no other is left.

        Args:
            replica: it.
            gone: it may come back as another server, so it is asked anew who it is.
        """
        replica.rests_until = time.monotonic() + REST_SECONDS
        if gone:
            replica.served = None
        return all(each.rests_until is not None for each in self._replicas)

    def answered(self, replica: Replica) -> None:
        """A server took a call: it is in use."""
        replica.rests_until = None

    def _visit_rested(self, now: float) -> None:
        """Look after servers that have rested, beside the calls: one that is well again is used again."""
        if all(each.rests_until is not None for each in self._replicas):
            return  # calls themselves try
        for replica in self._replicas:
            rested = replica.rests_until is not None and replica.rests_until <= now
            if rested and (replica.visit is None or replica.visit.done()):
                replica.visit = asyncio.create_task(self._health(replica))

    async def _health(self, replica: Replica) -> None:
        try:
            response = await replica.probes.get(f"{replica.root}/health", timeout=HEALTH_SECONDS)
            well = response.status_code < 500  # one without such an endpoint is up all the same
        except httpx2.HTTPError:
            well = False
        if well:
            self.answered(replica)
        else:
            self.rest(replica)

    async def served(self, replica: Replica) -> Served:
        """What a server is; asked once.

        Raises:
            LiberError: it serves another model than the others.
            httpx2.HTTPError: it cannot be reached, refuses the token, or fails.
        """
        rests = replica.rests_until
        async with replica.recognising:
            if replica.rests_until not in (None, rests):
                raise httpx2.ConnectError("it took no calls while this one waited")  # do not knock once each
            if replica.served is None:
                found = await recognised(replica.ask, self._settings.llm_dialect, self._settings.llm_model)
                for other in self._replicas:
                    if other.served and other.served.model != found.model:
                        raise LiberError(
                            f"{other.url} serves {other.served.model} and {replica.url} serves {found.model}: "
                            "give LIBER_LLM_URL servers of one model."
                        )
                replica.served = found
        return replica.served

    def known(self) -> Served | None:
        """What the servers asked so far take: the tightest of them; None: none was asked."""
        found = [each.served for each in self._replicas if each.served]
        return min(found, key=lambda served: served.context or float("inf"), default=None)

    async def count(self, replica: Replica, prompt: str) -> int | None:
        """Tokens of a prompt, by the server's tokenizer; None: it offers none.

        Raises:
            httpx2.HTTPError: it cannot be reached, refuses the token, or fails.
        """
        return await counted(replica.ask, await self.served(replica), self._settings.llm_model, prompt)

    async def close(self) -> None:
        """Close every connection."""
        visits = [replica.visit for replica in self._replicas if replica.visit]
        for visit in visits:
            visit.cancel()
        await asyncio.gather(*visits, return_exceptions=True)
        for replica in self._replicas:
            await replica.client.close()
            await replica.probes.aclose()


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Whose certificates count: the public authorities, and the one in `ca_file`.

    Raises:
        InputError: the file is missing or has no certificate in it.
    """
    context = httpx2.create_ssl_context()
    if ca_file is not None:
        try:
            context.load_verify_locations(ca_file)
        except FileNotFoundError:
            raise InputError(f"LIBER_LLM_CA_FILE is {str(ca_file)!r}: there is no such file.") from None
        except (ssl.SSLError, OSError) as error:
            raise InputError(
                f"LIBER_LLM_CA_FILE is {str(ca_file)!r}: it must be a PEM file with a certificate ({error})."
            ) from None
    return context
