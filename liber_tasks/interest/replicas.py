"""Several LLM servers with the same model behind one client: each call goes to the one with the fewest in flight."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import httpx2
from huggingface_hub import AsyncInferenceClient

from liber_tasks.errors import InputError

REST_SECONDS = 5.0  # a server that refuses connections is left out for so long, while others answer


@dataclass
class Replica:
    """One server."""

    url: str
    client: AsyncInferenceClient
    in_flight: int = 0
    rests_until: float = 0.0  # monotonic clock


class Replicas:
    """The servers of one LIBER_LLM_URL: one address, or several separated by commas."""

    def __init__(self, urls: str, client: Callable[[str], AsyncInferenceClient]) -> None:
        """Connect nothing yet.

        Raises:
            InputError: an address is not an HTTP URL.
        """
        addresses = [url.strip() for url in urls.split(",")]
        for url in addresses:
            if not url.startswith(("http://", "https://")):
                raise InputError(f"LIBER_LLM_URL is {urls!r}: write http://host:port or https://host, commas between.")
        self._replicas = [Replica(url, client(url)) for url in addresses]

    @contextmanager
    def pick(self) -> Iterator[AsyncInferenceClient]:
        """Client of the least busy server; one that refuses the connection rests, unless all do."""
        now = time.monotonic()
        replica = min(self._replicas, key=lambda each: (each.rests_until > now, each.in_flight))
        replica.in_flight += 1
        try:
            yield replica.client
        except (httpx2.ConnectError, httpx2.ConnectTimeout):
            replica.rests_until = time.monotonic() + REST_SECONDS
            raise
        else:
            replica.rests_until = 0.0
        finally:
            replica.in_flight -= 1

    async def close(self) -> None:
        """Close every connection."""
        for replica in self._replicas:
            await replica.client.close()
