"""A web server for the tests, which can also misbehave."""

import base64
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

USER, PASSWORD = "reader", "s3cret-word"


@dataclass
class Site:
    """A running server."""

    port: int
    folder: Path
    asked: list[str] = field(default_factory=list)  # method and path of each request

    def url(self, name: str, user: str = "") -> str:
        """URL of a file in the folder."""
        return f"http://{user}127.0.0.1:{self.port}/{name}"


class _Handler(SimpleHTTPRequestHandler):
    """Files of a folder; the first part of a path under /!name/ asks for a misdeed."""

    def __init__(self, *args: object, site: Site, before: Callable[[Site, str], None], **kwargs: object) -> None:
        self._site = site
        self._before = before
        super().__init__(*args, directory=str(site.folder), **kwargs)  # type: ignore[arg-type]

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""

    def do_HEAD(self) -> None:
        self._serve(super().do_HEAD)

    def do_GET(self) -> None:
        self._serve(super().do_GET)

    def _serve(self, answer: Callable[[], None]) -> None:
        self._site.asked.append(f"{self.command} {self.path}")
        self._before(self._site, self.command)
        if self.path.startswith("/!"):
            misdeed, _, rest = self.path[2:].partition("/")
            self.path = f"/{rest}"
            if misdeed.isdigit():
                self.send_error(int(misdeed))
                return
            if misdeed == "locked":
                token = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
                if self.headers.get("Authorization") != f"Basic {token}":
                    self.send_error(401)
                    return
            if misdeed == "cut" and self.command == "GET":
                data = Path(self.translate_path(self.path)).read_bytes()
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
                return
        answer()


@contextmanager
def site(folder: Path, before: Callable[[Site, str], None] = lambda site, method: None) -> Iterator[Site]:
    """Serve a folder on a free port; `before` runs ahead of each answer."""
    served = Site(0, folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, site=served, before=before))
    served.port = server.server_address[1]
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
