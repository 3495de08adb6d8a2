"""The pipeline page: what was counted last, how old it is, late, stale and fresh; and a count at the reader's word."""

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.status.stored import refresh
from tests.dashboard.conftest import StartDashboard
from tests.dashboard.test_pages import no_sideways_scroll, no_traceback


def run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def dear(engine: Engine, age: str) -> None:
    """What is stored was counted so long ago, and counting took long."""
    then = f"counted_at - cast('{age}' AS interval)"
    run(
        engine,
        f"UPDATE liber.pipeline_state SET counted_at = {then},"  # noqa: S608
        f" result = result || jsonb_build_object('seconds', 9, 'counted_at', {then})",
    )


@pytest.mark.usefixtures("memory")
def test_a_dear_count_is_shown_with_its_age_until_the_reader_asks_for_another(
    engine: Engine, settings: Settings, database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    run(engine, "UPDATE liber.behavior_partition SET created_at = now() - interval '5 hours'")
    run(engine, "UPDATE liber.llm_call SET prompt_tokens = 2000000, completion_tokens = 500000")
    refresh(engine, settings)
    dear(engine, "3 hours")
    run(engine, "INSERT INTO liber.rejected_row VALUES (1, 8, 'a new reason', '')")
    url = start_dashboard(
        database_url, LIBER_FRESHNESS_TARGET="4h", LIBER_LLM_PRICE_IN="0.1", LIBER_LLM_PRICE_OUT="0.4"
    )
    page.goto(f"{url}/pipeline")
    expect(page.get_by_text("Stale: these numbers were counted 3 hours ago")).to_be_visible()
    expect(page.get_by_text("Late: the oldest partition without its vector has waited 5 hours")).to_be_visible()
    expect(page.get_by_text("0.40 USD").first).to_be_visible()
    expect(page.get_by_role("cell", name="5 hours").first).to_be_visible()
    expect(page.get_by_text("a new reason")).to_have_count(0)

    page.get_by_role("button", name="Refresh").click()
    expect(page.get_by_text("a new reason")).to_be_visible()
    expect(page.get_by_text("Stale")).to_have_count(0)
    page.get_by_text("per day").click()  # another run of the page keeps what was counted
    expect(page.get_by_text("Behaviours ingested")).to_be_visible()
    expect(page.get_by_text("a new reason")).to_be_visible()
    assert no_sideways_scroll(page)
    assert no_traceback(page)
    page.set_viewport_size({"width": 390, "height": 844})
    expect(page.get_by_text("Late: the oldest")).to_be_visible()
    assert no_sideways_scroll(page)


@pytest.mark.usefixtures("memory")
def test_with_all_vectors_made_it_is_fresh(
    engine: Engine, database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    run(engine, "INSERT INTO liber.encoder VALUES ('x1', 'bert', 'mean', 'float32', 2, '0', '', 1, now(), 0.9)")
    run(engine, "INSERT INTO liber.interest_vector SELECT user_key, partition_no, 'x1', 'kv1', '[1, 0]' FROM"
        " liber.behavior_partition")  # fmt: skip
    page.goto(f"{start_dashboard(database_url)}/pipeline")
    expect(page.get_by_text("Fresh: every partition that is learnt has its vector.")).to_be_visible()
    expect(page.get_by_text("Cost: tokens by LIBER_LLM_PRICE_IN")).to_be_visible()
    expect(page.get_by_text("no price is set").first).to_be_visible()
