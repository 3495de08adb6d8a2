"""An MLflow that cannot be used is told apart: away, behind a proxy that answers instead, or refusing."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from liber_tasks.config import Settings
from liber_tasks.errors import ServiceUnavailable
from liber_tasks.mlflow_client import connected
from tests.services_mlflow import mlflow_url  # noqa: F401 - a fixture


@pytest.fixture(params=[503, 403])
def answering(request: pytest.FixtureRequest) -> Iterator[tuple[str, int]]:
    """A server that gives every request the same status and a page."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(request.param)
            self.end_headers()
            self.wfile.write(b"<html>not MLflow</html>")

        do_POST = do_GET

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", request.param
    server.shutdown()
    server.server_close()


def test_an_answer_that_is_not_mlflows_is_said_with_its_status(answering: tuple[str, int]) -> None:
    url, status = answering
    settings = Settings(_env_file=None, mlflow_tracking_uri=url)  # type: ignore[call-arg]
    check = {503: "MLFLOW_TRACKING_URI", 403: "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"}[status]
    said = f"MLflow answers with status {status} at {url}: check {check}"
    with pytest.raises(ServiceUnavailable, match=said), connected(settings) as client:
        client.search_experiments()


def test_what_mlflow_refuses_is_said_in_its_words(mlflow_url: str) -> None:  # noqa: F811 - the fixture
    settings = Settings(_env_file=None, mlflow_tracking_uri=mlflow_url)  # type: ignore[call-arg]
    with pytest.raises(ServiceUnavailable, match=r"MLflow refuses \(.*nonsense"), connected(settings) as client:
        client.search_experiments(order_by=["nonsense"])
