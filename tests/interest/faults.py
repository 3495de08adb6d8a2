"""An HTTP server that answers chat completions as told: the faults a real server would not show on demand."""

import json
import socket
import ssl
import struct
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One answer.

    Attributes:
        status: of HTTP.
        body: None is a good completion; a function makes it of the request.
        headers: besides type and length.
        cut: bytes of the body that are withheld before the connection is closed.
        delay: seconds that pass first.
        reset: break the connection inside the body, after its headers.
        held: wait for this first.
    """

    status: int = 200
    body: str | Callable[[dict[str, Any]], str] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0
    delay: float = 0.0
    reset: bool = False
    held: threading.Event | None = None


GOOD = Reply()
ABSENT = Reply(404, '{"error": {"message": "not found"}}')


def llamacpp(context: int, characters: int) -> Callable[[str, dict[str, Any] | None], Reply]:
    """What a llama.cpp server says besides completions: its context in tokens, and a token for so many characters."""

    def other(path: str, body: dict[str, Any] | None) -> Reply:
        if path == "/props":
            return Reply(body=json.dumps({"model_path": "m.gguf", "default_generation_settings": {"n_ctx": context}}))
        if path == "/apply-template" and body:
            return Reply(body=json.dumps({"prompt": body["messages"][0]["content"]}))
        if path == "/tokenize" and body:
            return Reply(body=json.dumps({"tokens": [0] * (len(body["content"]) // characters)}))
        return ABSENT

    return other


def completion(text: Any, finish_reason: str = "stop") -> str:
    """Body of a completion."""
    return json.dumps(
        {
            "id": "x", "object": "chat.completion", "created": 0, "model": "m", "system_fingerprint": "f",
            "choices": [
                {"index": 0, "finish_reason": finish_reason, "message": {"role": "assistant", "content": text}}
            ],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    )  # fmt: skip


@dataclass
class Seen:
    """What the server observed: chat completions, and apart from them the paths of all other requests."""

    url: str = ""
    prompts: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    answered: int = 0
    others: list[str] = field(default_factory=list)
    other_headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    asked: threading.Event = field(default_factory=threading.Event)  # a completion was asked for
    idle: threading.Event = field(default_factory=threading.Event)  # the last connection was closed


@contextmanager
def faulty(
    plan: Callable[[int, str], Reply],
    port: int = 0,
    *,
    other: Callable[[str, dict[str, Any] | None], Reply] = lambda *_: ABSENT,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Seen]:
    """Serve until the block ends.

    Args:
        plan: (number of the completion from 0, its prompt) -> answer.
        port: 0 for any.
        other: (path, body of a POST) -> answer of every other request.
        tls: serve https with it.
    """
    seen, lock = Seen(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def setup(self) -> None:
            with lock:
                seen.connections += 1
                seen.idle.clear()
            super().setup()

        def finish(self) -> None:
            with suppress(OSError):  # it was reset
                super().finish()
            with lock:
                seen.connections -= 1
                if not seen.connections:
                    seen.idle.set()

        def handle(self) -> None:
            with suppress(OSError):
                super().handle()

        def do_GET(self) -> None:
            self._other(None)

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if not self.path.endswith("/chat/completions"):
                self._other(body)
                return
            prompt = body["messages"][0]["content"]
            with lock:
                number = sum(seen.prompts.values())
                seen.prompts[prompt] += 1
                seen.times.append(time.monotonic())
                seen.headers.append(self._headers())
                seen.bodies.append(body)
                seen.in_flight += 1
                seen.most_in_flight = max(seen.most_in_flight, seen.in_flight)
            seen.asked.set()
            reply = plan(number, prompt)
            if reply.held:
                reply.held.wait(30)
            time.sleep(reply.delay)
            with lock:
                seen.in_flight -= 1
            self._send(reply, body, completion(f"likes {number}"))
            with lock:
                seen.answered += 1

        def _other(self, body: dict[str, Any] | None) -> None:
            with lock:
                seen.others.append(self.path)
                seen.other_headers.append(self._headers())
            self._send(other(self.path, body), body or {}, "{}")

        def _headers(self) -> dict[str, str]:
            return {name.lower(): value for name, value in self.headers.items()}

        def _send(self, reply: Reply, asked: dict[str, Any], default: str) -> None:
            text = default if reply.body is None else reply.body
            content = (text if isinstance(text, str) else text(asked)).encode()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content[: len(content) // 2] if reply.reset else content[: len(content) - reply.cut])
            except OSError:
                pass  # the client has gone
            self.close_connection = reply.cut > 0 or reply.reset
            if reply.reset:  # an RST instead of an orderly end, once the files over the socket are closed too
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

        def handle_error(self, *_: Any) -> None:
            pass  # a handshake that failed

    with Server(("127.0.0.1", port), Handler) as server:
        if tls:
            server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
        seen.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield seen
        server.shutdown()
