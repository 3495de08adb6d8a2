"""Promises of ingest: bad rows in quarantine, good ones once, in order, files whole or not at all."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from liber_tasks.behavior.ingest import IngestReport, ingest
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, ServiceUnavailable
from tests.behavior import state
from tests.behavior.files import behavior, write_csv, write_jsonl, write_parquet, zipped

NOW = datetime(2024, 6, 1, tzinfo=UTC)

BAD = {
    "event_id is missing": {"event_id": None},
    "user_id is missing": {"user_id": "  "},
    "item_id is missing": {"item_id": ""},
    "event_id contains a NUL byte": {"event_id": "e\0"},
    "user_id contains a NUL byte": {"user_id": "\0"},
    "item_id is longer than 512 bytes": {"item_id": "é" * 257},
    "event_time is missing": {"event_time": None},
    "event_time is not a time": {"event_time": "soon"},
    "event_time has no time zone": {"event_time": "2024-05-01T10:00:00"},
    "event_time is before 1970": {"event_time": "1969-12-31T23:59:59Z"},
    "event_time is in the future": {"event_time": "2024-06-02T00:00:01Z"},
    "kind is missing": {"kind": None},
    "kind is unknown": {"kind": "sneeze"},
    "rating is not a number": {"rating": "good"},
    "play_seconds is not a number": {"play_seconds": "1e99"},
    "play_seconds is negative": {"play_seconds": -0.5},
}
BAD_JSONL: dict[str, Any] = {
    "not valid JSON": '{"event_id": "e1", ',
    "not a JSON object": '["e1"]',
    "user_id has the wrong type": behavior(2, user_id=["u1"]),
    "event_time has the wrong type": behavior(2, event_time={"at": 3}),
    "context is not a JSON object that can be stored": behavior(2, context=[1]),
}


def load(engine: Engine, settings: Settings, *paths: Path, **options: Any) -> IngestReport:
    return ingest(engine, settings, paths, now=NOW, **options)


def quarantine(engine: Engine) -> list[tuple[Any, ...]]:
    return state.rows(engine, "SELECT line, reason, raw FROM liber.rejected_row ORDER BY file_id, line")


def events(engine: Engine) -> list[str]:
    return [row[2] for row in state.stream(engine)]


# Quarantine


@pytest.mark.parametrize("write", [write_jsonl, write_csv])
def test_each_kind_of_bad_row_goes_to_quarantine_with_its_reason(
    engine: Engine, settings: Settings, tmp_path: Path, write
) -> None:
    settings.max_rejected_share = 1
    rows = [behavior(n, **bad) for n, bad in enumerate(BAD.values(), start=1)]
    report = load(
        engine, settings, write(tmp_path / ("e" + write.__name__.replace("write_", ".")), [behavior(0), *rows])
    )
    first = 2 if write is write_jsonl else 3  # a good row goes before, in CSV the header too
    assert [(line, reason) for line, reason, _ in quarantine(engine)] == list(enumerate(BAD, start=first))
    assert report.reasons == dict.fromkeys(BAD, 1)
    assert (report.rows_read, report.accepted, report.rejected) == (len(BAD) + 1, 1, len(BAD))
    assert events(engine) == ["e0"]


@pytest.mark.parametrize(("reason", "bad"), BAD_JSONL.items(), ids=BAD_JSONL)
def test_json_that_is_no_behaviour_goes_to_quarantine(
    engine: Engine, settings: Settings, tmp_path: Path, reason: str, bad: Any
) -> None:
    load(engine, settings, write_jsonl(tmp_path / "e.jsonl", [behavior(1), bad]))
    assert [row[:2] for row in quarantine(engine)] == [(2, reason)]
    assert events(engine) == ["e1"]


def test_raw_text_of_a_rejected_row_is_kept_up_to_a_length(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "e.jsonl", [behavior(1), "\0oops" + "x" * 5000])
    load(engine, settings, path)
    ((_, _, raw),) = quarantine(engine)
    assert raw.startswith("\u2400oopsx")
    assert len(raw) == 2000


def test_an_event_as_far_ahead_as_allowed_is_no_future(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    settings.max_future = 60
    ahead = [behavior(n, event_time=(NOW + timedelta(seconds=n)).isoformat()) for n in (60, 61)]
    load(engine, settings, write_jsonl(tmp_path / "e.jsonl", ahead))
    assert events(engine) == ["e60"]


# Refusal


@pytest.mark.parametrize(
    ("good", "bad", "share", "refused"),
    [(990, 10, 0.01, False), (900, 11, 0.01, True), (11, 10, 0.01, False), (1, 1, 0.01, False), (1, 2, 0.01, True),
     (0, 1, 0.01, True), (100, 1, 0.0, True), (100, 0, 0.0, False), (1, 50, 1.0, False)],
)  # fmt: skip
def test_a_file_with_too_many_bad_rows_is_refused_whole(
    engine: Engine, settings: Settings, tmp_path: Path, good: int, bad: int, share: float, refused: bool
) -> None:
    settings.max_rejected_share = share
    rows = [behavior(n) for n in range(good)] + [behavior(5000 + n, kind="sneeze") for n in range(bad)]
    path = write_jsonl(tmp_path / "e.jsonl", rows)
    if refused:
        with pytest.raises(InputError, match=rf"{bad} of {good + bad} rows.*'kind is unknown'.*line {good + 1}\)"):
            load(engine, settings, path)
        assert not any(state.everything(engine).values())
    else:
        assert load(engine, settings, path).rejected == bad
        assert len(events(engine)) == good


@pytest.mark.parametrize(
    "text", ["event_id,user_id,item_id,event_time,kind\n", "event_id,user_id,item_id,event_time,kind\n\n"]
)
def test_a_file_with_a_header_only_has_no_rows(engine: Engine, settings: Settings, tmp_path: Path, text: str) -> None:
    path = tmp_path / "e.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=r"e\.csv"):
        load(engine, settings, path)
    path = tmp_path / "e.jsonl"
    path.write_text("\n \n")
    with pytest.raises(InputError, match="no rows"):
        load(engine, settings, path)
    assert not any(state.everything(engine).values())


def test_a_file_that_breaks_off_leaves_nothing_and_files_before_it_stay(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("liber_tasks.behavior.files.jsonl.BLOCK_BYTES", 20_000)
    whole = write_jsonl(tmp_path / "1.jsonl", [behavior(1)])
    broken = zipped(write_jsonl(tmp_path / "2.jsonl", (behavior(n) for n in range(2, 5000))))
    broken.write_bytes(broken.read_bytes()[:-100])
    seen: list[int] = []
    with pytest.raises(InputError, match=r"2\.jsonl\.gz"):
        load(engine, settings, whole, broken, progress=lambda done, total, label: seen.append(done))
    assert max(seen) > 1000  # much of it had been sent already
    assert events(engine) == ["e1"]
    assert len(state.everything(engine)["files"]) == 1


def test_a_file_that_grows_while_it_is_read_is_refused(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "e.jsonl", [behavior(1)])
    size = path.stat().st_size

    def grow(done: int, total: int | None, label: str) -> None:
        if path.stat().st_size == size:
            with path.open("a") as file:
                file.write("\n")

    with pytest.raises(InputError, match="changed while it was read"):
        load(engine, settings, path, progress=grow)
    assert not any(state.everything(engine).values())


def test_a_missing_path_is_found_before_anything_is_loaded(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="nowhere"):
        load(engine, settings, write_jsonl(tmp_path / "e.jsonl", [behavior(1)]), tmp_path / "nowhere.csv")
    assert events(engine) == []


def test_a_database_that_is_down_is_named(settings: Settings, tmp_path: Path) -> None:
    from liber_tasks import db

    with pytest.raises(ServiceUnavailable, match="LIBER_DATABASE_URL"):
        load(
            db.engine("postgresql://nobody@127.0.0.1:1/none"), settings, write_jsonl(tmp_path / "e.jsonl", [behavior()])
        )


def test_a_clock_without_zone_and_an_unknown_kind_are_refused(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    path = write_jsonl(tmp_path / "e.jsonl", [behavior(1)])
    with pytest.raises(InputError, match="time zone"):
        ingest(engine, settings, [path], now=datetime(2024, 6, 1))
    with pytest.raises(InputError, match="'films'"):
        ingest(engine, settings, [path], kind="films")  # type: ignore[arg-type]


# Once


def test_a_file_seen_before_is_a_no_op(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "e.jsonl", [behavior(1), behavior(2, kind="sneeze")])
    load(engine, settings, path)
    before = state.everything(engine)
    again = load(engine, settings, path.rename(tmp_path / "other name.jsonl"))
    assert (again.already_ingested, again.rows_read, again.accepted) == (1, 0, 0)
    assert state.everything(engine) == before


def test_an_event_seen_before_is_a_duplicate_and_the_first_one_stays(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    first = [behavior(1, item_id="first"), behavior(2), behavior(1, item_id="second"), behavior(1, user_id="u2")]
    one = load(engine, settings, write_jsonl(tmp_path / "1.jsonl", first))
    two = load(engine, settings, write_jsonl(tmp_path / "2.jsonl", [behavior(2), behavior(3)]))
    assert [(r.accepted, r.duplicates) for r in (one, two)] == [(3, 1), (1, 1)]
    assert [row[:4] for row in state.stream(engine)] == [
        ("u1", 1, "e1", "first"), ("u1", 2, "e2", "i2"), ("u1", 3, "e3", "i3"), ("u2", 1, "e1", "i1"),
    ]  # fmt: skip


# Order


def test_rows_of_a_file_are_ordered_by_time_then_event_id_bytewise(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    same = "2024-05-01T10:00:00Z"
    ids = ["b", "B", "a1", "a10", "a9", "é", "Z"]
    rows = [behavior(1, event_id=i, event_time=same) for i in ids] + [behavior(1, event_id="zz", event_time=1)]
    load(engine, settings, write_jsonl(tmp_path / "e.jsonl", rows))
    assert events(engine) == ["zz", *sorted(ids)]


def test_a_late_event_joins_at_the_end_with_the_streams_clock(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    load(engine, settings, write_jsonl(tmp_path / "1.jsonl", [behavior(30)]))
    load(engine, settings, write_jsonl(tmp_path / "2.jsonl", [behavior(10), behavior(40)]))
    minute = datetime(2024, 5, 1, 10, tzinfo=UTC)
    assert [(r[1], r[2], (r[4] - minute).seconds, (r[5] - minute).seconds) for r in state.stream(engine)] == [
        (1, "e30", 30, 30), (2, "e10", 10, 30), (3, "e40", 40, 40),
    ]  # fmt: skip


# Formats


def test_the_same_rows_give_the_same_stream_in_every_format(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    rows = [
        behavior(1, kind="rating", rating=4, context={"page": 2, "tag": "Ærø"}),
        behavior(2, kind="purchase", rating=None),
        behavior(3, kind="click", play_seconds=0),
    ]
    streams = []
    for user, write, name in (
        ("a", write_jsonl, "e.jsonl"),
        ("b", write_csv, "e.csv"),
        ("c", write_parquet, "e.parquet"),
    ):
        load(engine, settings, write(tmp_path / name, [{**row, "user_id": user} for row in rows]))
        streams.append([row[1:] for row in state.stream(engine) if row[0] == user])
    assert len(streams[0]) == 3
    assert streams[0][0][-3:] == (4.0, 30.5, {"page": 2, "tag": "Ærø"})
    assert streams[0][2][-2:] == (0.0, None)
    assert streams[0] == streams[1] == streams[2]


def test_numbers_as_ids_and_epoch_times_are_text_and_times(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    path = write_jsonl(tmp_path / "e.jsonl", [behavior(1, user_id=7, item_id=8, event_time=1714557600.25), behavior(2)])
    load(engine, settings, zipped(path))
    row = state.stream(engine)[0]
    assert (row[0], row[3], row[4]) == ("7", "8", datetime(2024, 5, 1, 10, 0, 0, 250_000, UTC))
