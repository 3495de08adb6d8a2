"""Promises of reading cells."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.behavior.values import json_object, parse_numbers, parse_times


def times(*texts: str | None) -> list[datetime | None]:
    return parse_times(pa.array(texts, pa.string())).values.to_pylist()


ZONES = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(datetime(1970, 1, 3), datetime(2500, 1, 1), timezones=ZONES)


@settings(max_examples=50, deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=20))
def test_iso_times_in_any_zone_keep_their_microsecond(moments: list[datetime]) -> None:
    assert times(*(moment.isoformat() for moment in moments)) == moments


@settings(max_examples=50, deadline=None)
@given(st.datetimes(datetime(1970, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)))
def test_epoch_seconds_keep_their_microsecond(moment: datetime) -> None:
    assert times(f"{moment.timestamp():.6f}") == [moment]


@pytest.mark.parametrize(
    "text",
    ["2024-05-01T10:00:00Z", "2024-05-01 12:00:00+02", "2024-05-01t10:00z", "2024-05-01T04:30:00.000-0530",
     "1714557600", "1714557600.0", "1.7145576e9", " 2024-05-01T10:00:00.0000004Z "],
)  # fmt: skip
def test_every_usual_spelling_of_a_time_is_understood(text: str) -> None:
    assert times(text) == [datetime(2024, 5, 1, 10, tzinfo=UTC)]


@pytest.mark.parametrize(
    "text",
    ["", "yesterday", "2024-13-01T00:00:00Z", "2024-02-30T00:00:00Z", "2024-05-01T24:00:00Z", "2024-05-01T10:00:61Z",
     "01/05/2024 10:00", "12:00Z", "1e9999", "nan", "inf", "0x10", "2024-05-01T10:00:00+99:00"],
)  # fmt: skip
def test_what_is_no_time_is_null_and_spoils_no_neighbour(text: str) -> None:
    good = "2024-05-01T10:00:00Z"
    assert times(good, text, None, good) == [datetime(2024, 5, 1, 10, tzinfo=UTC), None, None, times(good)[0]]


@pytest.mark.parametrize("text", ["2024-05-01T10:00:00", "2024-05-01 10:00", "2024-05-01"])
def test_a_time_without_a_zone_is_told_apart(text: str) -> None:
    parsed = parse_times(pa.array([text, "no time"]))
    assert parsed.values.null_count == 2
    assert parsed.naive.tolist() == [True, False]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_survive_as_32_bit_floats(numbers: list[float]) -> None:
    values, bad = parse_numbers(pa.array([repr(number) for number in numbers]))
    assert values.to_pylist() == numbers
    assert not bad.any()


def test_what_is_no_finite_number_is_marked_and_a_missing_one_is_not() -> None:
    values, bad = parse_numbers(pa.array(["four", "1e39", "nan", "inf", "1e500", "", "1,5", None, " 4 "]))
    assert values.to_pylist() == [None] * 8 + [4.0]
    assert bad.tolist() == [True] * 7 + [False, False]


@settings(max_examples=50, deadline=None)
@given(st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans() | st.none())))
def test_an_object_keeps_its_value_unless_it_holds_a_nul(value: dict[str, object]) -> None:
    flat = json.dumps(value, ensure_ascii=False)
    kept = json_object(json.dumps(value))
    if "\\u0000" in flat.replace("\\\\", ""):
        assert kept is None
    else:
        assert kept is not None
        assert json.loads(kept) == value


@pytest.mark.parametrize(
    "text", ["[1]", "3", "null", "", "{", '{"a": NaN}', '{"a": 1e999}', '{"a": "\\ud800"}', '{"a": "\\u0000"}',
             '{"a":' * 3000 + "1" + "}" * 3000, '{"a": "' + "x" * 70_000 + '"}'],
)  # fmt: skip
def test_what_jsonb_cannot_hold_is_refused(text: str) -> None:
    assert json_object(text) is None
