"""An HTTP server that answers chat completions as told: the faults a real server would not show on demand."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Reply:
    """One answer. `body` None is a good completion; `cut` bytes of it are withheld; `delay` seconds pass first."""

    status: int = 200
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut: int = 0
    delay: float = 0.0


GOOD = Reply()


def completion(text: str | None) -> str:
    """Body of a completion."""
    return json.dumps(
        {
            "id": "x", "object": "chat.completion", "created": 0, "model": "m", "system_fingerprint": "f",
            "choices": [
                {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            ],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    )  # fmt: skip


@dataclass
class Seen:
    """What the server observed."""

    url: str = ""
    prompts: Counter[str] = field(default_factory=Counter)
    times: list[float] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    in_flight: int = 0
    most_in_flight: int = 0
    answered: int = 0


@contextmanager
def faulty(plan: Callable[[int, str], Reply], port: int = 0) -> Iterator[Seen]:
    """Serve until the block ends.

    Args:
        plan: (number of the request from 0, its prompt) -> answer.
        port: 0 for any.
    """
    seen, lock = Seen(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            prompt = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][0]["content"]
            with lock:
                number = sum(seen.prompts.values())
                seen.prompts[prompt] += 1
                seen.times.append(time.monotonic())
                seen.headers.append({name.lower(): value for name, value in self.headers.items()})
                seen.in_flight += 1
                seen.most_in_flight = max(seen.most_in_flight, seen.in_flight)
            reply = plan(number, prompt)
            time.sleep(reply.delay)
            with lock:
                seen.in_flight -= 1
            body = (completion(f"likes {number}") if reply.body is None else reply.body).encode()
            try:
                self.send_response(reply.status)
                for name, value in {"Content-Type": "application/json", **reply.headers}.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: len(body) - reply.cut])
            except OSError:
                pass  # the client has gone
            self.close_connection = reply.cut > 0
            with lock:
                seen.answered += 1

        def log_message(self, *_: Any) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128
        daemon_threads = True

    with Server(("127.0.0.1", port), Handler) as server:
        seen.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield seen
        server.shutdown()
