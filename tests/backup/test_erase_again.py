"""Promises of erasures that outlive a restore: of the file, of what is compared, of calls that are stopped."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, text

from liber_tasks.behavior import erase_again
from liber_tasks.behavior.erase import erase, readmit
from liber_tasks.behavior.erase_again import Erasures
from liber_tasks.behavior.ingest import ingest
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from tests.behavior import state
from tests.behavior.erasing import places
from tests.behavior.files import behavior, write_jsonl

RECORDS = "SELECT to_jsonb(e) FROM liber.erasure AS e ORDER BY user_digest, erased_at"

RECORD = """
INSERT INTO liber.erasure (user_digest, removed, readmitted_at)
SELECT sha256(key || convert_to(:user, 'UTF8')), '{}', CASE WHEN :ended THEN now() END FROM liber.erasure_key"""


def load(engine: Engine, settings: Settings, folder: Path, *users: str) -> None:
    rows = [behavior(n, event_id=f"{user}/{n}", user_id=user) for user in users for n in range(3)]
    ingest(engine, settings, [write_jsonl(folder / f"{'-'.join(users)}.jsonl", rows)])


def erased_since(engine: Engine, *, readmitted: tuple[str, ...] = (), erased: tuple[str, ...] = ()) -> Erasures:
    """What the database's own records would be after these erasures, without them being done."""
    with engine.connect() as connection, connection.begin() as work:
        connection.execute(text("INSERT INTO liber.erasure_key VALUES (TRUE, sha256('key')) ON CONFLICT DO NOTHING"))
        for user in (*readmitted, *erased):
            connection.execute(text(RECORD), {"user": user, "ended": user in readmitted})
        key = connection.execute(text("SELECT encode(key, 'hex') FROM liber.erasure_key")).scalar_one()
        records: list[Any] = [
            record | {"user_digest": record["user_digest"].removeprefix("\\x")}
            for record in connection.execute(text(RECORDS)).scalars()
        ]
        work.rollback()
    return Erasures(key, records)


def test_a_second_call_does_nothing(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    load(engine, settings, tmp_path, "ann", "ben", "cem")
    since = erased_since(engine, erased=("ann",), readmitted=("ben",))
    assert erase_again.apply(engine, since) == ["ben", "ann"]
    records = state.rows(engine, RECORDS)
    assert erase_again.apply(engine, since) == []
    assert state.rows(engine, RECORDS) == records
    assert [row[0] for row in state.rows(engine, "SELECT user_id FROM liber.user_profile")] == ["cem"]
    assert places(engine, "ann") == places(engine, "ben") == []


def test_stopped_after_any_user_another_call_ends_the_same(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    load(engine, settings, tmp_path, "ann", "ben", "cem", "dot")
    since = erased_since(engine, erased=("ann", "cem"), readmitted=("ben", "dot"))
    left = 0

    def stopping(real: Any) -> Any:
        def work(*arguments: Any) -> Any:
            nonlocal left
            if left == 0:
                raise KeyboardInterrupt
            left -= 1
            return real(*arguments)

        return work

    for name in ("erase", "remove"):
        monkeypatch.setattr(erase_again, name, stopping(getattr(erase_again, name)))
    for left in (0, 1, 1, 1):  # noqa: B007 - users that a call comes to
        with pytest.raises(KeyboardInterrupt):
            erase_again.apply(engine, since)
    left = 9
    erase_again.apply(engine, since)
    assert state.rows(engine, "SELECT FROM liber.user_profile") == []
    load(engine, settings, tmp_path, "ann", "ben", "cem", "dot", "new")
    found = state.rows(engine, "SELECT user_id FROM liber.user_profile ORDER BY 1")
    assert found == [("ben",), ("dot",), ("new",)]


def test_a_user_known_by_an_exposure_alone_is_found(engine: Engine) -> None:
    since = erased_since(engine, erased=("ann",))
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.simulated_play VALUES (1, 'ann', '2024-05-01', 1, 1)"))
    assert erase_again.apply(engine, since) == ["ann"]
    assert state.rows(engine, "SELECT FROM liber.simulated_play") == []


def test_of_a_user_known_by_bad_rows_alone_no_text_stays(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    rows = [behavior(n, user_id=user, kind="sneeze") for n, user in enumerate(("ann", "ben"))]
    ingest(engine, settings.model_copy(update={"max_rejected_share": 1.0}), [write_jsonl(tmp_path / "bad", rows)],
           format="jsonl")  # fmt: skip
    since = erased_since(engine, erased=("ann",))
    erase_again.apply(engine, since)
    assert places(engine, "ann") == []
    assert state.rows(engine, "SELECT count(raw) FROM liber.rejected_row") == [(1,)]


def test_a_readmission_since_the_backup_ends_the_erasure_in_it(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    erase(engine, "ann")
    as_backed_up = state.rows(engine, "SELECT user_digest, erased_at, readmitted_at, removed FROM liber.erasure")
    readmit(engine, "ann")
    erase(engine, "ann")
    readmit(engine, "ann")
    since = erase_again.read(engine)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM liber.erasure"))
        connection.execute(text("INSERT INTO liber.erasure VALUES (:d, :e, NULL, '{}')"),
                           {"d": as_backed_up[0][0], "e": as_backed_up[0][1]})  # fmt: skip
    assert erase_again.apply(engine, since) == []
    assert erase_again.read(engine) == since
    load(engine, settings, tmp_path, "ann")
    assert state.rows(engine, "SELECT user_id FROM liber.user_profile") == [("ann",)]


def test_records_made_with_another_secret_are_refused_and_change_nothing(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    load(engine, settings, tmp_path, "ann")
    since = erased_since(engine, erased=("ann",))
    erase(engine, "ben")
    before = state.rows(engine, RECORDS)
    with pytest.raises(InputError, match="with a secret of its own"):
        erase_again.apply(engine, since)
    assert state.rows(engine, RECORDS) == before


def test_nobody_erased_is_nothing_to_apply(engine: Engine) -> None:
    assert erase_again.apply(engine, erase_again.read(engine)) == []
    assert state.rows(engine, "SELECT FROM liber.erasure_key") == []


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"format": "liber-erasures/9", "key": null, "records": []}'])
def test_another_file_is_refused_by_name(tmp_path: Path, content: str) -> None:
    (tmp_path / "x.json").write_text(content)
    with pytest.raises(InputError, match=r"x\.json was not written by `liber erasures export`"):
        Erasures.of_file(tmp_path / "x.json")
    with pytest.raises(InputError, match=r"absent cannot be read"):
        Erasures.of_file(tmp_path / "absent")


def test_a_file_holds_what_was_read_and_no_id(engine: Engine, tmp_path: Path) -> None:
    erase(engine, "ann-17")
    found = erase_again.read(engine)
    (tmp_path / "x.json").write_text(found.text())
    assert Erasures.of_file(tmp_path / "x.json") == found
    assert "ann-17" not in json.dumps(json.loads(found.text()))
