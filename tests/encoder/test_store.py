"""From texts to vectors in pgvector: incremental, frozen, idempotent."""

import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.encoder import knowledge
from liber_tasks.encoder.knowledge import KnowledgeEncoder
from liber_tasks.encoder.pca import Projection
from liber_tasks.encoder.store import current_encoder, encode, vectors
from liber_tasks.errors import InputError, LiberError
from tests.encoder.conftest import bert

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


def test_the_end_of_training_is_looked_up_for_the_first_texts_only(engine: Engine, small: Settings) -> None:
    asked = []

    def cut() -> datetime:
        asked.append(CUT)
        return CUT

    learn(engine, 1, range(1, 6))
    assert encode(engine, small, fit_before=cut).encoded == 5
    learn(engine, 1, range(6, 8))
    assert encode(engine, small, fit_before=cut).encoded == 2
    assert len(asked) == 1


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


def test_the_pca_is_the_same_whatever_is_written_later(engine: Engine, tiny_settings: Settings) -> None:
    learn(engine, 1, range(1, 9))
    first = encode(engine, tiny_settings, fit_before=CUT)
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.interest SET text = 'Another text: opera.' WHERE partition_no >= 5"))
    assert encode(engine, tiny_settings, fit_before=CUT, refit=True).encoder_version == first.encoder_version
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.interest SET text = 'Another text: opera.' WHERE partition_no = 4"))
    assert encode(engine, tiny_settings, fit_before=CUT, refit=True).encoder_version != first.encoder_version


def test_the_record_says_which_texts_the_pca_was_fitted_on(engine: Engine, tiny_settings: Settings) -> None:
    learn(engine, 1, range(1, 5))
    encode(engine, tiny_settings)
    with engine.connect() as connection:
        stored_pca = bytes(connection.execute(text("SELECT pca FROM liber.encoder")).scalar_one())
    assert Projection.from_bytes(stored_pca, 1.0).fitted_on == "k1"


def test_a_vector_is_the_projected_summary_followed_by_the_projected_shift(
    engine: Engine, tiny_settings: Settings
) -> None:
    learn(engine, 1, range(1, 4))
    encode(engine, tiny_settings)
    with engine.connect() as connection:
        pca = Projection.from_bytes(bytes(connection.execute(text("SELECT pca FROM liber.encoder")).scalar_one()), 1.0)
        texts = connection.execute(
            text("SELECT text FROM liber.interest WHERE partition_no = 3 ORDER BY kind")
        ).scalars()  # fmt: skip
        expected = pca.transform(KnowledgeEncoder(tiny_settings.encoder).embed(list(texts)))
    assert np.allclose(stored(engine, tiny_settings)[1, 3], expected.ravel(), atol=1e-5)


# Versions


@pytest.mark.parametrize("other", ["weights", "dtype", "dimension"])
def test_another_encoder_is_a_version_of_its_own_and_no_reader_sees_both(
    engine: Engine, tiny_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    learn(engine, 1, range(1, 5))
    first = encode(engine, tiny_settings)
    before = vectors(engine, str(first.encoder_version), "k1", 8)
    changed, dimension = tiny_settings, 8
    if other == "weights":
        folder = bert(tmp_path / "bert", seed=2)  # the same name with other weights
        changed = tiny_settings.model_copy(update={"encoder": str(folder)})
    elif other == "dtype":
        another = {"float32": "bfloat16", "bfloat16": "float32"}[knowledge.dtype_name()]
        monkeypatch.setattr(knowledge, "dtype_name", lambda: another)
    else:
        dimension = 6
        changed = tiny_settings.model_copy(update={"encoder_dimension": dimension})
    assert current_encoder(engine, changed) is None
    second = encode(engine, changed)
    assert second.encoder_version != first.encoder_version
    assert second.encoded == first.encoded == 4
    assert current_encoder(engine, changed) == second.encoder_version
    found = vectors(engine, str(second.encoder_version), "k1", dimension)
    assert found[2].shape == (4, dimension)
    for old, new in zip(before, vectors(engine, str(first.encoder_version), "k1", 8), strict=True):
        assert np.array_equal(old, new)


def test_texts_of_another_knowledge_version_have_vectors_of_their_own(engine: Engine, tiny_settings: Settings) -> None:
    learn(engine, 1, range(1, 4))
    encode(engine, tiny_settings)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.knowledge_version VALUES ('k2', 'm', 's/1', 'c/1', '{}')"))
        connection.execute(
            text("INSERT INTO liber.interest (user_key, partition_no, kind, knowledge_version, text, input_sha256,"
                 " latency_seconds) SELECT user_key, partition_no, kind, 'k2', 'opera', '', 0 FROM liber.interest")
        )  # fmt: skip
    report = encode(engine, tiny_settings.model_copy(update={"knowledge_version": "k2"}))
    assert report.encoded == 3
    of_k1, of_k2 = (vectors(engine, str(report.encoder_version), version, 8)[2] for version in ("k1", "k2"))
    assert of_k1.shape == of_k2.shape == (3, 8)
    assert not np.allclose(of_k1, of_k2)


# Crashes

_KILLED = """
import os, signal, sys
from liber_tasks import db
from liber_tasks.config import Settings
from liber_tasks.encoder import store

store.BATCH = 3
url, encoder = sys.argv[1:]
batches = []

def kill_in_the_third(done, total, label):
    batches.append(done)
    if len(batches) == 3:
        os.kill(os.getpid(), signal.SIGKILL)

store.encode(
    db.engine(url), Settings(_env_file=None, encoder=encoder, encoder_dimension=8, MLFLOW_TRACKING_URI=None),
    progress=kill_in_the_third,
)
"""


def test_a_run_killed_between_batches_keeps_whole_batches_and_the_next_one_completes(
    engine: Engine, tiny_settings: Settings, database_url: str
) -> None:
    learn(engine, 1, range(1, 11))
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("LIBER_", "MLFLOW_"))}
    killed = subprocess.run(
        [sys.executable, "-c", _KILLED, database_url, tiny_settings.encoder], env=environment, check=False, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL
    kept = stored(engine, tiny_settings)
    assert set(kept) == {(1, number) for number in range(1, 7)}
    assert encode(engine, tiny_settings).encoded == 4
    after = stored(engine, tiny_settings)
    assert len(after) == 10
    assert all(np.array_equal(after[key], kept[key]) for key in kept)
