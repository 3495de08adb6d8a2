"""The pages in a real browser, on a real database."""

import csv
import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text

from liber_tasks.experiment.readout import readout
from liber_tasks.experiment.simulate import simulate
from tests.conftest import free_port
from tests.dashboard.conftest import StartDashboard, count


def no_sideways_scroll(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def no_traceback(page: Page) -> bool:
    return page.locator("[data-testid=stException]").count() == 0


@pytest.mark.usefixtures("memory")
def test_every_page_shows_what_is_stored(
    engine: Engine, database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    simulate(engine)
    found = readout(engine, "liber-memory-simulated")
    url = start_dashboard(database_url)

    page.goto(url)
    expect(page.get_by_role("heading", name="Experiments")).to_be_visible()
    page.get_by_role("link", name="Readout", exact=True).click()
    expect(page.get_by_role("heading", name="A/B readout")).to_be_visible()
    expect(page.get_by_text("SIMULATED.")).to_be_visible()
    expect(
        page.get_by_text(re.compile("The treatment raised play count by .* and raised play time by"))
    ).to_be_visible()
    expect(page.get_by_text("sample ratio as planned")).to_be_visible()
    expect(page.get_by_role("cell", name=f"{100 * found.metrics['play_time'].cuped.lift:+.1f}")).to_be_visible()
    chart = page.locator("[data-testid=stVegaLiteChart]").first
    for label in ("Play count", "Time per play", "raw", "CUPED", "planted"):
        # Vega hides labels of rows that are too low by their opacity alone.
        expect(chart.locator("text:not([opacity='0'])", has_text=label).first).to_be_visible()
    assert no_sideways_scroll(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Table as CSV").click()
    assert len(download.value.path().read_text().splitlines()) == 1 + sum(
        len(one.estimates) for one in found.metrics.values()
    )
    page.get_by_text("How these numbers were made").click()
    expect(page.get_by_text("sql/queries/experiment/moments.sql").first).to_be_visible()

    page.goto(f"{url}/timeline?user=u1")
    expect(page.get_by_text("55 behaviours")).to_be_visible()
    expect(page.get_by_text("Likes slow dramas & <b>old</b> comedies.")).to_be_visible()
    expect(page.get_by_text("From drama to science fiction.")).to_be_visible()
    expect(page.get_by_text("not learnt yet")).to_have_count(1)
    expect(page.get_by_text("prove the wiring, not the value")).to_be_visible()
    expect(page.get_by_text("local · summary/1 · shift/1 · 310 tokens in, 43 out")).to_be_visible()
    page.get_by_text("20 items, newest first").last.click()
    expect(page.get_by_text("**Bold** [link](http://example.org) $x$")).to_be_visible()
    assert no_sideways_scroll(page)
    page.goto(f"{url}/timeline?user=nobody")
    expect(page.get_by_text("User nobody is unknown")).to_be_visible()

    page.goto(f"{url}/pipeline")
    expect(page.get_by_text("event_time is not a time")).to_be_visible()
    expect(page.get_by_role("cell", name="empty answer")).to_be_visible()
    expect(page.get_by_text("Fresh: every partition that is learnt has its vector")).to_have_count(0)  # two wait
    expect(page.get_by_text("On time: the oldest partition without its vector has waited")).to_be_visible()
    expect(page.locator("[data-testid=stVegaLiteChart]").get_by_text("waiting")).to_be_visible()
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.rejected_row VALUES (1, 8, 'a new reason', '')"))
    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_text("a new reason")).to_be_visible()
    assert no_traceback(page)
    assert count(engine, "readout") == 7  # a look a day; a page adds none

    page.set_viewport_size({"width": 390, "height": 844})  # a phone
    for path, words in {
        "": "The treatment is better",
        "readout": "The treatment raised",
        "timeline?user=u1": "Partition 3",
        "pipeline": "Counted",
    }.items():
        page.goto(f"{url}/{path}")
        expect(page.get_by_text(words).first).to_be_visible()
        assert no_sideways_scroll(page)
        assert page.get_by_text(words).first.bounding_box()["width"] <= 390


def test_a_hidden_lift_is_shown_nowhere(
    engine: Engine, database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    simulate(engine, users=20_000)
    with engine.begin() as connection:
        connection.execute(
            text(
                "DELETE FROM liber.exposure WHERE user_id IN (SELECT user_id FROM liber.exposure "
                "WHERE arm = 'treatment' ORDER BY user_id LIMIT 300)"
            )
        )
    readout(engine, "liber-memory-simulated")
    url = start_dashboard(database_url)
    page.goto(url)
    expect(page.get_by_text("the arms do not have the users they should have")).to_be_visible()
    page.goto(f"{url}/readout")
    expect(page.get_by_text("so every lift is hidden")).to_be_visible()
    expect(page.get_by_text("Sample ratio mismatch")).to_be_visible()
    expect(page.get_by_text("Take it along")).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Table as CSV").click()
    assert all(row["lift"] == "" for row in csv.DictReader(download.value.path().read_text().splitlines()))
    assert page.locator("[data-testid=stVegaLiteChart]").count() == 0
    assert no_traceback(page)


def test_an_empty_database_is_a_sentence_on_each_page(
    database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    url = start_dashboard(database_url)
    for path, sentence in {
        "": "There is no experiment yet",
        "readout": "No readout is stored yet",
        "timeline": "No partition is closed yet",
        "pipeline": "Nothing has been ingested yet",
    }.items():
        page.goto(f"{url}/{path}")
        expect(page.get_by_text(sentence)).to_be_visible()
        assert no_traceback(page)


def test_an_unreachable_database_is_a_sentence_on_each_page(start_dashboard: StartDashboard, page: Page) -> None:
    url = start_dashboard(f"postgresql://nobody:secret@127.0.0.1:{free_port()}/none")
    for path in ("", "readout", "timeline", "pipeline"):
        page.goto(f"{url}/{path}")
        expect(page.get_by_text("PostgreSQL cannot do this")).to_be_visible()
        assert no_traceback(page)
        assert "secret" not in page.content()


def test_a_database_without_the_schema_says_what_to_run(cluster, start_dashboard: StartDashboard, page: Page) -> None:
    page.goto(start_dashboard(cluster.url("postgres")))
    expect(
        page.get_by_text("run `liber init-db`").or_(page.get_by_text("The database has no LIBER schema yet"))
    ).to_be_visible()
    assert no_traceback(page)


def test_a_role_without_rights_says_what_to_check(
    cluster, engine: Engine, database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    name = database_url.rsplit("/", 1)[1].split("?")[0]
    page.goto(start_dashboard(cluster.url(name, role="liber_ingest")))
    expect(page.get_by_text("LIBER_READER_DATABASE_URL")).to_be_visible()
    assert no_traceback(page)
