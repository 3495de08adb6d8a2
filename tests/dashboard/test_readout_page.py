"""The list of experiments and the readout in a real browser, for every kind of record."""

import csv
import json
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Locator, Page, TimeoutError, expect
from sqlalchemy import Engine, text

from liber_tasks.dashboard import words
from tests.dashboard import records
from tests.dashboard.conftest import StartDashboard
from tests.dashboard.test_pages import no_sideways_scroll, no_traceback

NOW = datetime.now(UTC)
CALIBRATION = {
    "splits": 5000, "users": 12612, "seed": 7, "verdict": "errs as often as it should",
    "rates": [{"metric": "play_count", "method": "cuped", "rate": 0.0512, "low": 0.0452, "high": 0.0577}],
}  # fmt: skip


@pytest.fixture
def stored(engine: Engine) -> None:
    """An experiment in each state."""
    for one in (records.rich(), records.mismatched(), records.breached(), records.unclear(), records.old()):
        records.store(engine, one)
    begun = (NOW - timedelta(days=8)).date()
    records.store(engine, records.running(start=begun))
    records.store(engine, replace(records.running(0.01, begun), experiment="stale"), NOW - timedelta(hours=50))
    records.store(engine, replace(records.rich(), experiment="planted", simulated=True, planted={"play_count": 0.0301}))
    records.store(engine, records.rich(experiment="newer").to_dict() | {"metrics": {"play_count": {"new": 1}}})
    with engine.begin() as connection:
        add = text("INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at,"
                   " ends_at) VALUES (:name, 'h', 's', 0.5, 0.5, now() + :a, now() + :b)")  # fmt: skip
        connection.execute(add, {"name": "next", "a": timedelta(days=3), "b": timedelta(days=9)})
        connection.execute(add, {"name": "unserved", "a": timedelta(days=-1), "b": timedelta(days=9)})


def card(page: Page, name: str) -> Locator:
    """An experiment's part of the list."""
    named = page.get_by_text(name, exact=True)
    return page.locator("[data-testid=stVerticalBlock]").filter(has=named).filter(has_text="·").last


def pick(page: Page, label: str, option: str) -> None:
    """Choose an option; its list closes whenever the page below it moves, as charts do while they are drawn."""
    for _ in range(10):
        page.get_by_role("combobox", name=label).click()
        with suppress(TimeoutError):
            page.get_by_role("option", name=option, exact=True).click(timeout=3_000)
            return
    pytest.fail(f"{label} has no option {option}")


@pytest.mark.usefixtures("stored")
def test_the_list_says_where_each_experiment_stands(
    database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    url = start_dashboard(database_url)
    page.goto(url)
    for name, said in {
        "liber-memory-2026": ["finished on 18 Jan 2026", "The treatment is better", "play count +3.1", "25,352 users"],
        "mismatched": ["No decision", "the arms do not have the users"],
        "breached": ["A guardrail is breached"],
        "unclear": ["No clear difference"],
        "old": ["The treatment is better"],
        "running": ["running, day 9 of 14", "The treatment is better so far", "read"],
        "stale": ["stale", "No clear difference so far", "read 2 days ago"],
        "planted": ["SIMULATED"],
        "newer": ["has a form that this LIBER does not know"],
        "next": ["planned, starts on", "not read yet"],
        "unserved": ["running, day 2 of 10", "no data"],
    }.items():
        for words_ in said:
            expect(card(page, name)).to_contain_text(words_)
    assert "%" not in card(page, "mismatched").inner_text()
    page.get_by_role("radio", name="planned", exact=True).click()
    expect(page.get_by_text("unserved")).to_have_count(0)
    expect(page).to_have_url(re.compile("state=planned"))
    page.goto(f"{url}/?state=running")
    expect(page.get_by_text("unserved")).to_be_visible()
    expect(page.get_by_text("mismatched")).to_have_count(0)
    card(page, "running").get_by_role("link", name="Readout").click()
    expect(page.get_by_text("already clear at the planned look")).to_be_visible()
    assert parse_qs(urlsplit(page.url).query)["experiment"] == ["running"]
    assert no_traceback(page)


@pytest.mark.usefixtures("stored")
def test_a_whole_record_is_shown_explained_and_taken_along(
    engine: Engine, database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    with engine.begin() as connection:  # one of the experiments is calibrated
        connection.execute(
            text("INSERT INTO liber.readout_calibration (experiment_key, until_day, input_sha256, result) SELECT"
                 " experiment_key, '2026-01-19', 'x', :result FROM liber.experiment WHERE name = 'breached'"),
            {"result": json.dumps(CALIBRATION)},
        )  # fmt: skip
    url = start_dashboard(database_url)
    page.goto(f"{url}/readout?experiment=liber-memory-2026")
    for heading in ("Guardrails", "Day by day", "Segments", "Novelty", "Distribution", "Data quality", "Calibration",
                    "Models compared", "Take it along"):  # fmt: skip
        expect(page.get_by_role("heading", name=heading)).to_be_visible()
    charts = page.locator("[data-testid=stVegaLiteChart]")
    expect(charts).to_have_count(5)
    for chart, labels in enumerate((
        ("decides", "other methods", "may lose this much", "capped CUPED", "Complaints"),
        ("planned looks", "any look", "7 Jan"),
        ("android", "ios"),
        ("days since the first exposure",),
        ("control", "treated", "cap"),
    )):  # fmt: skip
        for label in labels:
            expect(charts.nth(chart).locator("text:not([opacity='0'])", has_text=label).first).to_be_visible()
    expect(page.get_by_text("Not calibrated yet")).to_be_visible()
    expect(page.get_by_role("cell", name="14 control, 11 treated")).to_be_visible()
    expect(page.get_by_role("cell", name="safe: has not lost more than allowed").first).to_be_visible()
    expect(page.get_by_role("cell", name="models:/liber-ctr/7")).to_be_visible()
    assert page.locator("[data-testid=stMain] a[href*='example.org']").count() == 0
    page.get_by_text("How these numbers were made").click()
    expect(page.get_by_text("sum of play_count over the days from the first exposure on")).to_be_visible()
    expect(page.get_by_text("sql/queries/experiment/moments.sql")).to_be_visible()
    assert page.get_by_text("README.md").count() == 0
    for button, check in (
        ("Table as CSV", lambda content: len(list(csv.DictReader(content.decode().splitlines()))) == 20),
        ("Record as JSON", lambda content: json.loads(content)["input_sha256"] == "a" * 64),
    ):
        with page.expect_download() as download:
            page.get_by_role("button", name=button).click()
        assert check(download.value.path().read_bytes())
    for chart in (0, 1):
        charts.nth(chart).hover()
        with page.expect_download() as download:  # by an event: the toolbar moves with the page under the pointer
            page.get_by_role("button", name="Download as PNG").nth(chart).dispatch_event("click")
        assert download.value.path().read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    page.goto(f"{url}/readout?experiment=breached")
    expect(page.get_by_text("5,000 random splits of 12,612 users")).to_be_visible()
    expect(page.get_by_role("cell", name="4.52")).to_be_visible()
    expect(page.get_by_text("Active days lost more than allowed: do not ship this.")).to_be_visible()
    expect(page.get_by_role("cell", name="BREACHED")).to_be_visible()
    assert no_traceback(page)


@pytest.mark.usefixtures("stored")
def test_the_address_of_a_view_shows_it_again(database_url: str, start_dashboard: StartDashboard, page: Page) -> None:
    page.goto(f"{start_dashboard(database_url)}/readout?experiment=liber-memory-2026")
    for label, option, value in (
        ("Metric", "Play time", "metric=play_time"),
        ("Split by", "Account age", "dimension=account"),
        ("Method shown", "capped", "method=capped"),
    ):
        pick(page, label, option)
        expect(page).to_have_url(re.compile(value))
    expect(page.get_by_text("one value has too few users")).to_be_visible()
    expect(page.get_by_role("cell", name="Play count, capped decides")).to_have_count(0)
    expect(page.get_by_role("cell", name="Play count, CUPED")).to_have_count(0)
    query = {"experiment": ["liber-memory-2026"], "metric": ["play_time"], "dimension": ["account age"],
             "method": ["capped"]}  # fmt: skip
    assert parse_qs(urlsplit(page.url).query) == query
    address = page.get_by_test_id("stCode").last
    expect(address).to_contain_text("method=capped")
    shown = address.inner_text().strip()
    assert parse_qs(urlsplit(shown).query) == query
    page.goto(shown)
    expect(page.get_by_text("Play time, CUPED: the lift of all days until then")).to_be_visible()
    expect(page.get_by_text("one value has too few users")).to_be_visible()
    expect(page.get_by_role("cell", name="Play count, CUPED")).to_have_count(0)
    assert no_traceback(page)


@pytest.mark.usefixtures("stored")
def test_every_state_fits_a_laptop_and_a_phone(database_url: str, start_dashboard: StartDashboard, page: Page) -> None:
    url = start_dashboard(database_url)
    for name, said in {
        "liber-memory-2026": "Take it along",
        "mismatched": "The treated arm loses users of app 4.2",
        "unclear": f"a change of 2.9{words.THIN}% would have been found",
        "old": "This readout is of an older method",
        "running": "do not stop early",
        "stale": "Stale: the experiment runs, but was read 2 days ago",
        "planted": "SIMULATED.",
        "newer": "has a form that this LIBER does not know",
        "no such": "Of experiment no such no readout is stored",
    }.items():
        for width, height in ((1280, 900), (390, 844)):
            page.set_viewport_size({"width": width, "height": height})
            page.goto(f"{url}/readout?experiment={name}")
            expect(page.get_by_text(said).first).to_be_visible()
            assert no_sideways_scroll(page), (name, width)
            assert no_traceback(page)
            assert "NaN" not in page.get_by_test_id("stMain").inner_text()
    page.goto(f"{url}/readout?experiment=mismatched")
    expect(page.get_by_text("Take it along")).to_be_visible()
    assert page.locator("[data-testid=stVegaLiteChart]").count() == 0
    assert "+3.1" not in page.content()
