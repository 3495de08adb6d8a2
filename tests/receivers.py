"""Receivers on this machine: of what is posted as JSON, and of datagrams."""

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Posts:
    """A running HTTP server.

    Attributes:
        url: its address.
        bodies: what was posted, in order of arrival.
        status: what it answers.
    """

    url: str = ""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    status: int = 200


@contextmanager
def http_receiver() -> Iterator[Posts]:
    """A server that keeps every JSON body posted to it."""
    posts = Posts()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            posts.bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(posts.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    posts.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield posts
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def udp_receiver() -> Iterator[tuple[int, list[str]]]:
    """A port and the datagrams that came there."""
    received: list[str] = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))

        def listen() -> None:
            while True:
                try:
                    received.append(listener.recv(65_536).decode())
                except OSError:  # closed
                    return

        threading.Thread(target=listen, daemon=True).start()
        yield listener.getsockname()[1], received
