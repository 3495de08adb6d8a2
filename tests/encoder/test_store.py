"""From texts to vectors in pgvector: incremental, frozen, idempotent."""

from datetime import UTC, datetime

import numpy as np
import pytest
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.encoder.store import current_encoder, encode, vectors
from liber_tasks.errors import InputError, LiberError

CUT = datetime(2020, 1, 5, tzinfo=UTC)


def learn(engine: Engine, user: int, partitions: range, shifts: bool = True) -> None:
    """Write texts as the LLM stage would: sealed on day `partition_no`."""
    with engine.begin() as connection:
        connection.execute(text(
            "INSERT INTO liber.knowledge_version VALUES ('k1', 'm', 's/1', 'c/1', '{}') ON CONFLICT DO NOTHING"
        ))  # fmt: skip
        for number in partitions:
            connection.execute(
                text("INSERT INTO liber.behavior_partition VALUES (:u, :p, 1, 20, 20, :t, :t, :t, 'count')"),
                {"u": user, "p": number, "t": datetime(2020, 1, number, tzinfo=UTC)},
            )
            for kind in ["summary", *(["shift"] if shifts and number > 1 else [])]:
                connection.execute(
                    text("INSERT INTO liber.interest"
                         " (user_key, partition_no, kind, knowledge_version, text, input_sha256,"
                         " latency_seconds) VALUES (:u, :p, :k, 'k1', :text, '', 0)"),
                    {"u": user, "p": number, "k": kind, "text": f"User {user} {kind} {number}: {'jazz ' * number}"},
                )  # fmt: skip


@pytest.fixture
def small(settings: Settings) -> Settings:
    return settings.model_copy(update={"encoder_dimension": 8})


def stored(engine: Engine, small: Settings) -> dict[tuple[int, int], np.ndarray]:
    version = current_encoder(engine, small)
    assert version is not None
    users, partitions, matrix = vectors(engine, version, "k1", 8)
    return {(int(u), int(p)): row for u, p, row in zip(users, partitions, matrix, strict=True)}


def test_nothing_to_do_is_no_error(engine: Engine, small: Settings) -> None:
    assert encode(engine, small).encoded == 0


def test_every_complete_partition_gets_one_vector_and_a_second_run_none(engine: Engine, small: Settings) -> None:
    learn(engine, 1, range(1, 5))
    report = encode(engine, small, fit_before=CUT)
    assert report.encoded == 4
    assert encode(engine, small, fit_before=CUT).encoded == 0
    assert set(stored(engine, small)) == {(1, 1), (1, 2), (1, 3), (1, 4)}


def test_a_partition_waits_for_its_shift(engine: Engine, small: Settings) -> None:
    learn(engine, 1, range(1, 4), shifts=False)
    encode(engine, small)
    assert set(stored(engine, small)) == {(1, 1)}


def test_the_first_partition_has_zeros_where_the_shift_would_be(engine: Engine, small: Settings) -> None:
    learn(engine, 1, range(1, 4))
    encode(engine, small)
    rows = stored(engine, small)
    assert not rows[1, 1][4:].any()
    assert rows[1, 2][4:].any()


def test_new_texts_leave_encoder_and_old_vectors_as_they_are(engine: Engine, small: Settings) -> None:
    learn(engine, 1, range(1, 5))
    first = encode(engine, small, fit_before=CUT)
    before = stored(engine, small)
    learn(engine, 2, range(1, 4))
    second = encode(engine, small)
    after = stored(engine, small)
    assert second.encoder_version == first.encoder_version
    assert second.encoded == 3
    assert all(np.array_equal(after[key], before[key]) for key in before)


def test_the_pca_sees_only_texts_from_before_the_cut(engine: Engine, small: Settings) -> None:
    learn(engine, 1, range(1, 9))
    report = encode(engine, small, fit_before=CUT)
    assert report.fitted_texts == 4 + 3  # partitions of January 1st to 4th, three of them with a shift
    with engine.connect() as connection:
        assert connection.execute(text("SELECT fitted_before FROM liber.encoder")).scalar_one() == CUT


def test_without_training_texts_it_says_so_in_the_record(engine: Engine, small: Settings) -> None:
    learn(engine, 1, range(6, 9))
    encode(engine, small, fit_before=CUT)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT fitted_before FROM liber.encoder")).scalar_one() is None


def test_a_refit_is_a_new_version_beside_the_old(engine: Engine, small: Settings) -> None:
    learn(engine, 1, range(1, 5))
    first = encode(engine, small)
    learn(engine, 2, range(1, 5))
    second = encode(engine, small, refit=True)
    assert second.encoder_version != first.encoder_version
    assert second.encoded == 8
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM liber.interest_vector")).scalar_one() == 4 + 8


def test_one_text_is_too_few_and_says_what_to_do(engine: Engine, small: Settings) -> None:
    learn(engine, 1, range(1, 2))
    with pytest.raises(LiberError, match="liber learn"):
        encode(engine, small)


def test_an_odd_dimension_names_the_setting(engine: Engine, small: Settings) -> None:
    with pytest.raises(InputError, match="LIBER_ENCODER_DIMENSION"):
        encode(engine, small.model_copy(update={"encoder_dimension": 7}))
