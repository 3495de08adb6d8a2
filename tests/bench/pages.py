"""The dashboard's pages with many users: from asking for a page to all of it drawn, in a real Chromium.

The pipeline is counted and the experiment read before, as the DAGs do; the dashboard is started, and each page opened
by a browser that has nothing in its cache (`first`), then again (`again`), median of `ROUNDS`. `server_cpu_s` is the
time that the dashboard's own process took for one opening. A page is drawn when Streamlit says that its script is
over and every chart is there. The load average says what else the machine did.
"""

import os
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
from playwright.sync_api import Browser
from sqlalchemy import Engine

from infra.screenshot import chromium
from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.status.stored import refresh, stored
from tests.bench.database import cluster, database, say
from tests.bench.pages_world import fill
from tests.conftest import free_port

PAGES = {
    "experiments": "Experiments",
    "readout": "A/B readout",
    "pipeline": "What went wrong",
    "timeline": "Partition 2",
}
ROUNDS = 3
DRAWN = """
() => document.querySelector('[data-testid=stApp]')?.getAttribute('data-test-script-state') === 'notRunning'
    && [...document.querySelectorAll('[data-testid=stVegaLiteChart]')].every(chart => chart.querySelector('svg'))
"""


def measure(size: int = 1_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` thousand users; or the database that LIBER_BENCH_DATABASE_URL names, as an earlier `fill` left it."""
    given = os.environ.get("LIBER_BENCH_DATABASE_URL")
    if given:
        return {}, _measured(db.engine(given))
    with cluster() as server:
        engine = database(server)
        fill(engine, size * 1_000)
        return {}, {"users": size * 1_000} | _measured(engine)


def _measured(engine: Engine) -> dict[str, Any]:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    counted = stored(engine) or refresh(engine, settings)
    figures: dict[str, Any] = {"load_1m": round(os.getloadavg()[0], 2), "count_s": counted.seconds}
    with _dashboard(engine) as (url, process), chromium() as browser:
        _open(browser, f"{url}/experiments", "Experiments")  # the server's imports are not a page's
        for page, marker in PAGES.items():
            opened = [_open(browser, f"{url}/{page}", marker, process) for _ in range(ROUNDS)]
            for place, name in enumerate(("first_s", "again_s", "server_cpu_s")):
                figures[f"{page}_{name}"] = round(statistics.median(one[place] for one in opened), 2)
            say(f"pages: {page}: {opened}")
    figures["load_1m_after"] = round(os.getloadavg()[0], 2)
    return figures


def _open(browser: Browser, url: str, marker: str, process: psutil.Process | None = None) -> tuple[float, float, float]:
    """Seconds until a page is drawn, with an empty cache and again, and the server's CPU-seconds of the second."""
    window = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    window.set_default_timeout(300_000)
    seconds, spent = [], 0.0
    for _ in range(2):
        before, begun = process.cpu_times() if process else None, time.perf_counter()
        window.goto(url, wait_until="commit")
        window.get_by_text(marker).first.wait_for()
        window.wait_for_function(DRAWN)
        seconds.append(time.perf_counter() - begun)
        if process and before:
            now = process.cpu_times()
            spent = now.user + now.system - before.user - before.system
    window.context.close()
    return seconds[0], seconds[1], spent


@contextmanager
def _dashboard(engine: Engine) -> Iterator[tuple[str, psutil.Process]]:
    port = free_port()
    address = engine.url.render_as_string(hide_password=False)
    own = {"LIBER_DATABASE_URL": address, "LIBER_READER_DATABASE_URL": address}
    command = [sys.executable, "-m", "liber_tasks.dashboard", "--port", str(port)]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    child = subprocess.Popen(command, env={**os.environ, **own}, **silent)
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/_stcore/health", timeout=2).close()
                break
            except OSError:
                time.sleep(0.2)
        yield url, psutil.Process(child.pid)
    finally:
        child.terminate()
        child.wait(300)
