"""The interest timeline in a real browser: evidence for each text, whatever was written into it."""

import re

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.encoder.items import encode_items
from tests.dashboard.conftest import StartDashboard
from tests.dashboard.test_pages import no_sideways_scroll, no_traceback

HOSTILE = (
    "# Fan of **bold** [films](http://example.org) <script>document.title='x'</script> <img src=x onerror=alert(1)> "
    "$x^2$ :red[colour] :material/home: `code` ~~no~~ | a | b | www.example.org a@example.org https://example.org"
)
LONG = "x" * 3_000
TITLES = ("    four blanks", "1. first", "- dash", "> quote", "<b>tag</b>\n\n# head", "=====")
REGISTERED = '{"summary": "prompts:/liber-summary/3", "shift": "prompts:/liber-shift/1"}'


@pytest.fixture
def hostile(engine: Engine, memory: None) -> None:
    """User u1's texts in a newer version: hostile, long, cut and with behaviours left out; a call for each."""
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO liber.knowledge_version (knowledge_version, model, summary_prompt, shift_prompt,"
                 " parameters, registered, created_at)"
                 " VALUES ('big-7B-movies-1a2b3c', 'org/Big-7B', 's', 'c', '{}', :r, now() + '1s')"),
            {"r": REGISTERED},
        )  # fmt: skip
        add = text(
            "INSERT INTO liber.interest (user_key, partition_no, kind, knowledge_version, text, input_sha256,"
            " prompt_tokens, completion_tokens, latency_seconds, finish_reason, left_out)"
            " VALUES (1, :p, cast(:kind AS liber.interest_kind), 'big-7B-movies-1a2b3c', :text, '', 1200, 40, 1, :end,"
            " :left)"
        )
        for number, kind, words, end, left in (
            (1, "summary", HOSTILE, "stop", 0),
            (2, "summary", LONG, "length", 7),
            (2, "shift", f"1. one\n2. two\n\n    {HOSTILE}", "stop", 0),
            (3, "summary", "Prefers science fiction of the eighties, " * 12, "stop", 0),
        ):
            connection.execute(add, {"p": number, "kind": kind, "text": words, "end": end, "left": left})
            connection.execute(
                text("INSERT INTO liber.llm_call (call_key, user_key, partition_no, kind, knowledge_version, state,"
                     " attempts, run_id) VALUES (:key, 1, :p, cast(:kind AS liber.interest_kind),"
                     " 'big-7B-movies-1a2b3c', 'done', :tries, 'r')"),
                {"key": f"{number}{kind}", "p": number, "kind": kind, "tries": number},
            )  # fmt: skip
        for number, title in enumerate(TITLES, 1):
            connection.execute(
                text("UPDATE liber.item SET title = :t WHERE item_id = :id"), {"t": title, "id": str(62 - number)}
            )


@pytest.mark.usefixtures("hostile")
def test_each_text_shows_where_it_comes_from_and_what_it_cost(
    database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    page.goto(f"{start_dashboard(database_url)}/timeline?user=u1")
    expect(page.get_by_text("4 texts · 4,800 tokens in, 160 out · 8 calls")).to_be_visible()
    expect(page.get_by_text("knowledge version big-7B-movies-1a2b3c")).to_be_visible()
    origin = "org/Big-7B · prompts:/liber-summary/3 · prompts:/liber-shift/1"
    expect(page.get_by_text(f"{origin} · 1,200 tokens in, 40 out")).to_have_count(2)
    expect(page.get_by_text(f"{origin} · 2,400 tokens in, 80 out · the 7 oldest behaviours left out")).to_be_visible()
    expect(page.get_by_text("cut at the token limit")).to_have_count(1)
    expect(page.get_by_text("shift not learnt yet")).to_have_count(1)
    page.get_by_role("combobox", name="Texts of").click()
    page.get_by_role("option", name="kv1").click()
    expect(page.get_by_text("Turned to science fiction.")).to_be_visible()
    expect(page.get_by_text("3 texts · 520 tokens in, 73 out · 1 calls")).to_be_visible()
    expect(page.get_by_text("cut at the token limit")).to_have_count(0)


@pytest.mark.usefixtures("hostile")
def test_texts_and_titles_stay_plain_and_within_the_window(
    database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    page.goto(f"{start_dashboard(database_url)}/timeline?user=u1")
    expect(page.get_by_text("Partition 1", exact=True)).to_be_visible()
    expect(page.get_by_text(HOSTILE)).to_have_count(2)
    page.get_by_text("20 items, newest first").last.click()
    for title in TITLES:
        expect(page.get_by_text(" ".join(title.split()), exact=True)).to_be_visible()
    body = page.locator("[data-testid=stMain]")
    for markup in ("script", "img", "h2", "h3", "pre", "code", "table", "del", "blockquote", ".katex", "li li",
                   "a[href*=example]"):  # fmt: skip
        assert body.locator(markup).count() == 0, markup
    for width, height in ((1280, 900), (390, 844)):
        page.set_viewport_size({"width": width, "height": height})
        assert no_sideways_scroll(page)
        for words in (LONG, "Fan of", "Prefers science fiction"):
            box = page.get_by_text(words).first.bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
    assert no_traceback(page)


@pytest.mark.usefixtures("memory")
def test_a_version_without_shifts_waits_for_none(
    engine: Engine, database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    with engine.begin() as connection:
        connection.execute(text('UPDATE liber.knowledge_version SET parameters = \'{"variant": "no_shift"}\''))
        connection.execute(text("DELETE FROM liber.interest WHERE kind = 'shift'"))
    page.goto(f"{start_dashboard(database_url)}/timeline?user=u1")
    expect(page.get_by_text("Turned to science fiction.")).to_be_visible()
    expect(page.get_by_text("shift not learnt yet")).to_have_count(0)


@pytest.fixture
def rated(engine: Engine, settings: Settings, memory: None) -> None:
    """User u1 liked the odd films, whose director is Varda, and the catalogue is encoded."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.behavior SET rating = CASE item_key % 2 WHEN 1 THEN 5 ELSE 2 END"))
        connection.execute(text("UPDATE liber.item SET attributes = jsonb_build_object('director',"
                                " CASE item_key % 2 WHEN 1 THEN 'Agnès Varda' ELSE '<b>Nobody</b>' END)"))  # fmt: skip
    encode_items(engine, settings)


@pytest.mark.usefixtures("rated")
def test_an_item_is_compared_with_each_partition(
    database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    page.goto(f"{start_dashboard(database_url)}/timeline?user=u1")
    asked = page.get_by_label("Which partitions speak for an item? Type its id")
    asked.fill("59")
    asked.press("Enter")
    expect(page.get_by_text("3 closed partitions of user u1 pull Film 59 by +")).to_be_visible()
    expect(page.get_by_text(re.compile(r"Pull \+\d\.\d+"))).to_have_count(3)
    expect(page.get_by_text(re.compile("shared with what was liked: .*agnès varda")).first).to_be_visible()
    expect(page).to_have_url(re.compile("item=59"))
    no_traceback(page)
    asked.fill("58")
    asked.press("Enter")
    expect(page.get_by_text(re.compile(r"Pull [-−]\d\.\d+"))).to_have_count(3)
    asked.fill("no such film")
    asked.press("Enter")
    expect(page.get_by_text("The catalogue has no item 'no such film'")).to_be_visible()
    no_traceback(page)
    no_sideways_scroll(page)


@pytest.mark.usefixtures("memory")
def test_a_text_that_retention_removed_says_so_with_the_day(
    engine: Engine, database_url: str, start_dashboard: StartDashboard, page: Page
) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.retention (subject, before, begun_at)"
                                " VALUES ('texts', '1998-03-10Z', '2026-03-05Z')"))  # fmt: skip
        connection.execute(text("DELETE FROM liber.interest WHERE partition_no = 1"))
    page.goto(f"{start_dashboard(database_url)}/timeline?user=u1")
    expect(page.get_by_text("Turned to science fiction.")).to_be_visible()
    expect(page.get_by_text("removed by retention on 5 Mar 2026")).to_have_count(1)
    expect(page.get_by_text("not learnt yet")).to_have_count(1)  # the third, which is younger
    assert no_traceback(page)
