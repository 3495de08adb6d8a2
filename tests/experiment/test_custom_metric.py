"""Metrics of an experiment's own: what PostgreSQL itself says about them, in one sentence, before they are used."""

from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from liber_tasks.config import ROOT
from liber_tasks.errors import InputError
from liber_tasks.experiment import custom_metric as module
from liber_tasks.experiment.custom_metric import check_metrics, rows_for
from liber_tasks.experiment.define import define
from liber_tasks.experiment.definition import parse, read_file
from liber_tasks.experiment.plan import Metric
from tests.experiment.conftest import behave
from tests.experiment.defining import BEFORE, START, definition, rows

HOUR = timedelta(hours=1)
CLICKS = """
SELECT u.user_id, (b.event_time AT TIME ZONE 'UTC')::date AS day, count(*) AS value  -- 10:30 is no parameter, nor 5 %
FROM liber.behavior AS b INNER JOIN liber.user_profile AS u ON b.user_key = u.user_key
WHERE b.kind = 'click' AND b.event_id NOT LIKE '%:x'
GROUP BY 1, 2;
"""


def metric(sql: str, name: str = "clicks") -> Metric:
    return Metric.model_validate({"name": name, "unit": "clicks", "sql": sql})


@pytest.fixture
def clicked(engine: Engine) -> Engine:
    """A database in which two users clicked."""
    behave(engine, [("a", START, None), ("a", START + HOUR, None), ("a", START + 30 * HOUR, None)], kind="click")
    behave(engine, [("b", START + HOUR, None)], kind="click")
    return engine


def test_the_rows_of_a_metric_stand_inside_another_statement(clicked: Engine) -> None:
    check_metrics(clicked, [metric(CLICKS)])
    statement = text(f"SELECT * FROM (\n{rows_for(metric(CLICKS))}\n) AS m ORDER BY user_id, day")  # noqa: S608
    days = {"from_day": START.date(), "until_day": date(2026, 3, 3)}
    with clicked.connect() as connection:
        found = [tuple(row) for row in connection.execute(statement, days)]
    assert found == [("a", START.date(), 2.0), ("b", START.date(), 1.0)]
    assert isinstance(found[0][2], float)


def test_a_common_table_expression_is_a_select_too(clicked: Engine) -> None:
    check_metrics(clicked, [metric(f"WITH c AS ({CLICKS.replace(';', '')}) SELECT * FROM c")])  # noqa: S608


def test_the_documented_metric_does(clicked: Engine, tmp_path: Path) -> None:
    page = (ROOT / "docs" / "experiments.md").read_text(encoding="utf-8")
    (tmp_path / "ab.yaml").write_text(page.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    assert define(clicked, parse(read_file(tmp_path / "ab.yaml")), now=BEFORE).created


TYPED = "SELECT 'a'::text AS user_id, date '2026-03-02' AS day, {} AS value"
ONE = TYPED.format("1")
GONE = "DELETE FROM liber.behavior"


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT 1 AS value", "gives the columns value, but must give exactly user_id, day and value"),
        (ONE + ", 2 AS more", "gives the columns user_id, day, value, more"),
        (ONE + ", 2 AS value", "user_id, day, value, value"),
        (ONE.replace("'a'::text", "1"), "its column user_id is int4, not text; cast it, as user_id::text"),
        (ONE.replace("date", "timestamp"), "its column day is timestamp, not date"),
        (TYPED.format("'x'::text"), "its column value is text, not numeric"),
        (TYPED.format("'NaN'::float8"), "1 values are NaN or infinite"),
        (TYPED.format("'NaN'::numeric"), "1 values are NaN or infinite"),
        (TYPED.format("'-infinity'::float8"), "1 values are NaN or infinite"),
        (TYPED.format("null::float8"), "1 rows have a null"),
        (f"{ONE} UNION ALL {TYPED.format(2)}", "1 rows repeat a user and day"),
        ("SELECT FROM nowhere", 'its SQL fails: relation "nowhere" does not exist'),
        ("SELEC 1", "its SQL fails: syntax error"),
        (f"{ONE}; {GONE}", "its SQL fails: syntax error"),
        (f"{ONE}) AS m; {GONE}; SELECT * FROM ({ONE}", "cannot insert multiple commands"),  # noqa: S608
        (f"{GONE} RETURNING 'a'::text AS user_id", "its SQL fails: syntax error"),
        (f"WITH d AS ({GONE} RETURNING 1) {ONE}", "its SQL fails: WITH clause containing a data-modifying statement"),
        (
            TYPED.format("(SELECT count(*) FROM liber.erase_rows(1, 'a'))"),
            "its SQL fails: permission denied for function erase_rows",
        ),
        (TYPED.format("lo_create(0)::bigint"), "its SQL fails: cannot execute lo_create() in a read"),
    ],
    ids=lambda value: value[:40],
)
def test_a_metric_that_does_not_do_is_refused_in_one_sentence(clicked: Engine, sql: str, said: str) -> None:
    before = rows(clicked, "behavior")
    with pytest.raises(InputError, match=r"^Metric 'clicks': ") as raised:
        check_metrics(clicked, [metric(sql)])
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)
    assert rows(clicked, "behavior") == before


def test_a_metric_that_takes_too_long_is_refused(clicked: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "TIMEOUT_SECONDS", 0.2)
    with pytest.raises(InputError, match=r"'clicks': its SELECT took more than 0\.2 s for 1,000 users"):
        check_metrics(clicked, [metric(TYPED.format("(SELECT 1 FROM pg_sleep(5))"))])


def test_a_metric_reads_as_the_readers_role_where_that_may_read(clicked: Engine) -> None:
    peek = TYPED.format("(SELECT count(*) FROM liber.erasure)")
    check_metrics(clicked, [metric(CLICKS)])
    with pytest.raises(InputError, match="permission denied for table erasure"):
        check_metrics(clicked, [metric(peek)])
    with clicked.begin() as connection:
        connection.execute(text("REVOKE USAGE ON SCHEMA liber FROM liber_reader"))
    check_metrics(clicked, [metric(peek)])  # not let in: the check goes without it


def test_a_definition_with_a_metric_that_does_not_do_is_not_stored(clicked: Engine) -> None:
    bad = {"name": "clicks", "unit": "clicks", "role": "primary", "sql": "SELECT 1 AS value"}
    with pytest.raises(InputError, match="Metric 'clicks'"):
        define(clicked, definition(metrics=[bad]), now=BEFORE)
    assert rows(clicked, "experiment") == []
    define(clicked, definition(metrics=[{**bad, "sql": CLICKS}]), now=BEFORE)
    assert not define(clicked, definition(metrics=[{**bad, "sql": CLICKS}]), now=BEFORE).changed
