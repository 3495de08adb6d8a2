"""A fake LLM server in a process of its own: answers every chat completion after a fixed time, or when enough wait.

Nothing is generated, so what a call costs besides is the client's. Unknown paths answer 404; as "llamacpp" it answers
that server's probes too. All answers are equal, or, where asked for, no two.
"""

import argparse
import asyncio
import json
import random
import re
import resource
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

TEXT = "Prefers recent dramas and thrillers, rates comedies low, and has lately turned to older war films."
WORDS = tuple(TEXT.replace(",", "").replace(".", "").lower().split())
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)


@dataclass
class Server:
    """What the answers have in common, and what is going on.

    Attributes:
        latency: seconds before an answer.
        gate: calls that are held until so many of them wait; 0 holds none.
        probes: bodies of answers to GET, by path.
        distinct: whether each answer has words of its own.
    """

    latency: float
    gate: int
    probes: dict[str, Any]
    distinct: bool = False
    requests: int = 0
    most_held: int = 0

    def __post_init__(self) -> None:
        self.connections: set[Connection] = set()
        self.held: list[Connection] = []
        self.watched: list[tuple[Connection, str, int]] = []

    def state(self) -> dict[str, int]:
        """Counts: requests so far, connections open, calls held now and at most."""
        return {"requests": self.requests, "connections": len(self.connections), "held": len(self.held),
                "most_held": self.most_held}  # fmt: skip

    def changed(self) -> None:
        """Open the gate when enough calls wait; answer who waits for a count."""
        self.most_held = max(self.most_held, len(self.held))
        state = self.state()
        for watch in [watch for watch in self.watched if state[watch[1]] == watch[2]]:
            self.watched.remove(watch)
            watch[0].answer(200, state)
        if self.gate and len(self.held) >= self.gate:
            waiting, self.held = self.held, []
            for connection in waiting:
                connection.complete()


class Connection(asyncio.Protocol):
    """One client connection; requests on it come one after another."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._received = b""
        self._needed = -1  # bytes of the request on the way; -1 while its head is not there

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        self._transport: Any = transport
        self._server.connections.add(self)

    def connection_lost(self, error: Exception | None) -> None:
        """What it waited for is forgotten."""
        server = self._server
        server.connections.discard(self)
        if self in server.held:
            server.held.remove(self)
        server.watched = [watch for watch in server.watched if watch[0] is not self]
        server.changed()

    def data_received(self, data: bytes) -> None:
        """Collect one request."""
        self._received += data
        if self._needed < 0:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self._received, 0, end)
            self._needed = end + 4 + (int(length[1]) if length else 0)
        if len(self._received) >= self._needed:
            request, self._received, self._needed = self._received, b"", -1
            self._handle(*request.split(b"\r\n\r\n", 1))

    def _handle(self, head: bytes, body: bytes) -> None:
        method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
        server = self._server
        if path.endswith("/chat/completions"):
            server.requests += 1
            self._asked = body
            if server.gate:
                server.held.append(self)
                server.changed()
            else:
                asyncio.get_running_loop().call_later(server.latency, self.complete)
        elif path == "/counts":
            self.answer(200, server.state())
        elif found := re.fullmatch(r"/until/(\w+)/(\d+)", path):
            server.watched.append((self, found[1], int(found[2])))
            server.changed()
        elif found := re.fullmatch(r"/gate/(\d+)", path):
            server.gate = int(found[1])
            self.answer(200, server.state())
        elif method == "POST" and server.probes and path == "/tokenize":
            self.answer(200, {"tokens": list(range(len(json.loads(body)["content"]) // 4))})
        elif method == "POST" and server.probes and path == "/apply-template":
            self.answer(200, {"prompt": json.loads(body)["messages"][0]["content"]})
        else:
            known = server.probes.get(path)
            self.answer(404 if known is None else 200, known or {"error": {"message": "not found"}})

    def complete(self) -> None:
        """Answer the completion asked for: with a member for each property where a JSON schema is asked for."""
        text = TEXT
        if self._server.distinct:
            text = " ".join(random.Random(self._server.requests).choices(WORDS, k=20)).capitalize() + "."
        if b'"response_format"' in self._asked:
            asked = json.loads(self._asked)["response_format"]
            schema = asked.get("schema") or asked.get("value") or asked.get("json_schema", {}).get("schema") or {}
            text = json.dumps(dict.fromkeys(schema.get("properties", {}), text))
        self.answer(
            200,
            {
                "id": "x", "object": "chat.completion", "created": 0, "model": "fake", "system_fingerprint": "f",
                "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}],
                "usage": {"prompt_tokens": 400, "completion_tokens": 20, "total_tokens": 420},
            },
        )  # fmt: skip

    def answer(self, status: int, body: Any) -> None:
        """Send a JSON answer, unless the client has gone."""
        if self._transport.is_closing():
            return
        content = json.dumps(body).encode()
        self._transport.write(
            b"HTTP/1.1 %d X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % (status, len(content))
            + content
        )


LLAMACPP = {"/props": {"default_generation_settings": {"n_ctx": 8192}, "total_slots": 8, "model_path": "fake.gguf",
                       "build_info": "fake"},
            "/v1/models": {"object": "list", "data": [{"id": "fake", "object": "model", "owned_by": "llamacpp"}]},
            "/health": {"status": "ok"}}  # fmt: skip


async def serve(latency: float, gate: int, like: str, distinct: bool) -> None:
    """Serve on a free loopback port, whose number goes to stdout, until the process ends."""
    state = Server(latency, gate, LLAMACPP if like == "llamacpp" else {}, distinct)
    listening = await asyncio.get_running_loop().create_server(lambda: Connection(state), "127.0.0.1", backlog=4096)
    print(listening.sockets[0].getsockname()[1], flush=True)
    await listening.serve_forever()


@dataclass(frozen=True)
class Fake:
    """A running fake server."""

    url: str
    pid: int

    def counts(self) -> dict[str, int]:
        """What it has seen (`Server.state`); the connection of this question counts."""
        return self._get("/counts")

    def until(self, name: str, count: int) -> dict[str, int]:
        """Wait until a count has this value; for `connections`, this question's own included."""
        return self._get(f"/until/{name}/{count}")

    def hold(self, gate: int) -> dict[str, int]:
        """From now on hold calls until so many wait."""
        return self._get(f"/gate/{gate}")

    def _get(self, path: str) -> dict[str, int]:
        with urlopen(self.url + path, timeout=300) as response:
            found: dict[str, int] = json.load(response)
            return found


@contextmanager
def fake_llm(latency: float = 0.0, *, gate: int = 0, like: str = "openai", distinct: bool = False) -> Iterator[Fake]:
    """A fake server as a child process.

    Args:
        latency: seconds before an answer.
        gate: hold calls until so many wait, then answer all of them.
        like: "openai" answers 404 to every probe, "llamacpp" answers as that server does.
        distinct: each answer in words of its own.
    """
    command = [sys.executable, "-m", "tests.bench.llm_fakes", str(latency), "--gate", str(gate), "--like", like,
               *(["--distinct"] if distinct else [])]  # fmt: skip
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        try:
            assert child.stdout is not None
            port = child.stdout.readline().strip()
            if not port:
                raise RuntimeError("The fake LLM server did not start.")
            yield Fake(f"http://127.0.0.1:{port}", child.pid)
        finally:
            child.terminate()


def main() -> None:
    """Serve as told on the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("latency", type=float)
    parser.add_argument("--gate", type=int, default=0)
    parser.add_argument("--like", choices=("openai", "llamacpp"), default="openai")
    parser.add_argument("--distinct", action="store_true")
    given = parser.parse_args()
    raise_limit()
    asyncio.run(serve(given.latency, given.gate, given.like, given.distinct))


def raise_limit(files: int = 4096) -> None:
    """Let this process open so many files, where the system lets it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < files:
        most = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


if __name__ == "__main__":
    main()
