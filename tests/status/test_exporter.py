"""`liber metrics` as Prometheus meets it: a process, scraped over HTTP, read by the client library's own parser."""

import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import Engine, text

from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.status.exporter import serve
from tests.interest.data import add_user
from tests.interest.test_tls import Authority, authority  # noqa: F401

LIBER = Path(sys.executable).with_name("liber")
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]
Start = Callable[..., str]


def environment(**variables: str) -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("LIBER_")} | variables


@pytest.fixture
def start() -> Iterator[Start]:
    """Start `liber metrics` on a free port with these variables; gives its address."""
    started: list[subprocess.Popen[str]] = []

    def run(**variables: str) -> str:
        child = subprocess.Popen([LIBER, "metrics", "--port", "0"], env=environment(**variables), text=True,
                                 stderr=subprocess.PIPE)  # fmt: skip
        started.append(child)
        assert child.stderr
        url = child.stderr.readline().strip()
        assert url.startswith("http"), url + child.stderr.read()
        return url

    yield run
    for child in started:
        child.send_signal(signal.SIGTERM)
        assert child.wait(60) == 0
        assert "Traceback" not in child.communicate()[1]


def scraped(url: str, context: ssl.SSLContext | None = None) -> Samples:
    with urllib.request.urlopen(url, timeout=60, context=context) as answer:
        return parsed(answer.read().decode())


def parsed(exposition: str) -> Samples:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(exposition)
        for sample in family.samples
    }


def one(samples: Samples, metric: str, **labels: str) -> float:
    return samples[metric, frozenset(labels.items())]


def until(url: str, there: Callable[[Samples], bool]) -> Samples:
    """Scrapes until one is as it should be; the counting runs beside them."""
    for _ in range(2000):
        if there(found := scraped(url)):
            return found
    raise AssertionError(found)


def test_a_scrape_says_what_status_says(engine: Engine, database_url: str, start: Start) -> None:
    add_user(engine, "a", 3)
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.behavior_partition SET created_at = now() - interval '2 days'"))
    url = start(LIBER_DATABASE_URL=database_url, LIBER_LEARN_MAX_USERS="")
    found = until(url, lambda samples: any(name == "liber_stage_done" for name, _ in samples))
    said = subprocess.run([LIBER, "status", "--json"], env=environment(LIBER_DATABASE_URL=database_url),
                          capture_output=True, text=True, check=True)  # fmt: skip
    for stage in json.loads(said.stdout)["stages"]:
        for state in ("done", "pending", "failed"):
            assert one(found, f"liber_stage_{state}", stage=stage["stage"], unit=stage["unit"]) == stage[state]
    assert one(found, "liber_stage_pending", stage="summary", unit="partitions") == 3
    assert one(found, "liber_stage_oldest_pending_seconds", stage="summary") == pytest.approx(2 * 86_400, abs=3600)
    assert one(found, "liber_freshness_seconds") == pytest.approx(2 * 86_400, abs=3600)
    assert one(found, "liber_freshness_target_seconds") == 86_400
    assert one(found, "liber_database_up") == 1


def test_a_scrape_reads_what_is_stored_and_waits_for_no_count(engine: Engine, database_url: str, start: Start) -> None:
    add_user(engine, "a", 1)
    url = start(LIBER_DATABASE_URL=database_url, LIBER_STATUS_INTERVAL="3600")
    until(url, lambda samples: any(name == "liber_stage_done" for name, _ in samples))
    with engine.begin() as connection:  # whoever counts now, waits
        connection.execute(text("LOCK TABLE liber.interest, liber.behavior_partition, liber.llm_call"))
        assert one(scraped(url), "liber_stage_pending", stage="summary", unit="partitions") == 1


def test_a_database_that_is_away_is_a_number_and_comes_back(cluster, engine: Engine, start: Start) -> None:
    name = engine.url.database
    url = start(LIBER_DATABASE_URL=cluster.url(name))
    until(url, lambda samples: any(metric == "liber_stage_done" for metric, _ in samples))
    admin = db.engine(cluster.url("postgres")).connect().execution_options(isolation_level="AUTOCOMMIT")
    admin.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false"))
    admin.execute(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"))  # noqa: S608
    away = scraped(url)
    assert one(away, "liber_database_up") == 0
    assert one(away, "liber_stage_done", stage="ingest", unit="behaviors") == 0  # what was known before
    admin.execute(text(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true"))
    admin.close()
    assert one(scraped(url), "liber_database_up") == 1


def test_once_prints_the_same_and_ends(engine: Engine, database_url: str) -> None:
    add_user(engine, "a", 2)
    done = subprocess.run([LIBER, "metrics", "--once"], capture_output=True, text=True, check=False,
                          env=environment(LIBER_DATABASE_URL=database_url, LIBER_LLM_PRICE_IN="1"))  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = parsed(done.stdout)
    assert one(found, "liber_stage_pending", stage="shift", unit="partitions") == 1
    assert one(found, "liber_llm_cost_total", currency="USD") == 0


def test_off_the_loopback_interface_it_asks_for_certificates(settings: Settings, tmp_path: Path) -> None:
    open_to_all = settings.model_copy(update={"metrics_address": "0.0.0.0", "metrics_port": 0})
    with pytest.raises(InputError, match=re.escape("LIBER_METRICS_ADDRESS is 0.0.0.0")):
        serve(open_to_all)
    with pytest.raises(InputError, match="LIBER_METRICS_KEY both"):
        serve(open_to_all.model_copy(update={"metrics_cert": tmp_path / "c.pem"}))


@pytest.mark.usefixtures("engine")
def test_only_a_client_with_a_certificate_of_the_authority_reads(
    database_url: str,
    start: Start,
    authority: Authority,  # noqa: F811
) -> None:
    cert = authority.ca_file.with_name("server.pem")
    url = start(LIBER_DATABASE_URL=database_url, LIBER_METRICS_CERT=str(cert),
                LIBER_METRICS_KEY=str(authority.key_file), LIBER_METRICS_CLIENT_CA=str(authority.ca_file))  # fmt: skip
    context = ssl.create_default_context(cafile=authority.ca_file)
    with pytest.raises(OSError):  # noqa: PT011 - whichever side closes first
        scraped(url, context)
    context.load_cert_chain(cert, authority.key_file)
    assert one(scraped(url, context), "liber_database_up") == 1
