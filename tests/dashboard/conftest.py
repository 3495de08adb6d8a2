"""A running dashboard and a real browser."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from sqlalchemy import Engine, text

from infra.screenshot import chromium
from tests.conftest import free_port

StartDashboard = Callable[..., str]  # database URL, further variables by name

MEMORY = """
INSERT INTO liber.user_profile (user_id) VALUES ('u1'), ('u2');
INSERT INTO liber.item (item_id, title) SELECT n::text, 'Film ' || n FROM generate_series(1, 60) AS n;
INSERT INTO liber.item (item_id, title) VALUES ('61', '**Bold** [link](http://example.org) $x$');
INSERT INTO liber.behavior (user_key, seq, item_key, event_time, effective_time, kind, event_id)
SELECT 1, n, 62 - n, t, t, 'rating', 'e' || n
FROM generate_series(1, 55) AS n, LATERAL (SELECT timestamptz '1998-03-01Z' + n * interval '6 hours' AS t) AS x;
INSERT INTO liber.user_stream VALUES (1, 55, 41, 3, '1998-03-15Z');
INSERT INTO liber.behavior_partition
(user_key, partition_no, first_seq, last_seq, n_behaviors, started_at, ended_at, sealed_at, reason)
VALUES
(1, 1, 1, 20, 20, '1998-03-01 06:00Z', '1998-03-06Z', '1998-03-06Z', 'count'),
(1, 2, 21, 40, 20, '1998-03-06 06:00Z', '1998-03-11Z', '1998-03-11Z', 'count'),
(1, 3, 41, 45, 5, '1998-03-11 06:00Z', '1998-03-12 06:00Z', '1998-03-13Z', 'gap');
INSERT INTO liber.knowledge_version VALUES ('kv1', 'local', 'summary/1', 'shift/1', '{}');
INSERT INTO liber.interest VALUES
(1, 1, 'summary', 'kv1', 'Likes slow dramas & <b>old</b> comedies.', 'x', 210, 30, 0.5, 'stop'),
(1, 2, 'summary', 'kv1', 'Turned to science fiction.', 'x', 220, 31, 0.5, 'stop'),
(1, 2, 'shift', 'kv1', 'From drama to science fiction.', 'x', 90, 12, 0.5, 'stop');
INSERT INTO liber.llm_call (call_key, user_key, partition_no, kind, knowledge_version, state, error, run_id)
VALUES ('k', 1, 3, 'summary', 'kv1', 'quarantined', 'the answer is empty', 'r');
INSERT INTO liber.ingest_file (sha256, kind, source, rows_read, accepted, duplicates, rejected)
VALUES ('s', 'behaviors', 'f.jsonl', 56, 55, 0, 1);
INSERT INTO liber.rejected_row VALUES (1, 7, 'event_time is not a time', '{}');
"""


@pytest.fixture
def memory(engine: Engine) -> None:
    """A user with three partitions: the first two learnt, the third not."""
    with engine.begin() as connection:
        connection.connection.cursor().execute(MEMORY)


@pytest.fixture
def start_dashboard(tmp_path: Path) -> Iterator[StartDashboard]:
    """Start the dashboard on a database URL, with further variables by name; returns its own URL."""
    started: list[subprocess.Popen[bytes]] = []

    def start(database_url: str, **variables: str) -> str:
        port = free_port()
        environment = {
            **os.environ,
            "LIBER_DATABASE_URL": database_url,
            "LIBER_READER_DATABASE_URL": database_url,
            **variables,
        }
        with (tmp_path / "dashboard.log").open("wb") as log:
            command = [sys.executable, "-m", "liber_tasks.dashboard", "--port", str(port)]
            started.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
                return url
            except OSError:
                if started[-1].poll() is not None or time.monotonic() > deadline:
                    pytest.fail(f"The dashboard did not start: {(tmp_path / 'dashboard.log').read_text()}")
                time.sleep(0.2)

    yield start
    for child in started:
        child.terminate()
        child.wait(30)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """The system's Chromium; a busy machine gets half a minute for each answer."""
    expect.set_options(timeout=30_000)
    with chromium() as running:
        yield running


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A window of a laptop's size."""
    window = browser.new_page(viewport={"width": 1280, "height": 900})
    window.set_default_timeout(30_000)
    asked: list[str] = []
    window.on("request", lambda request: asked.append(request.url))
    yield window
    window.close()
    strangers = [url for url in asked if not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "data:", "blob:"))]
    assert strangers == [], "a page asked another machine"


def count(engine: Engine, table: str) -> int:
    """Rows of a table of ours."""
    with engine.connect() as connection:
        return connection.execute(text(f"SELECT count(*) FROM liber.{table}")).scalar_one()  # noqa: S608
