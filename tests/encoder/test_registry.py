"""Promises of encoders in MLflow: one version an encoder, the same vectors when read back, never in encode's way."""

import logging

import numpy as np
import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.encoder.knowledge import KnowledgeEncoder, model_identity
from liber_tasks.encoder.registry import NAME, TAG, load_encoder, register
from liber_tasks.encoder.store import encode, vectors
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from tests.conftest import free_port
from tests.encoder.test_store import CUT, learn
from tests.services_mlflow import mlflow_url  # noqa: F401 - a fixture


@pytest.fixture
def tracked(tiny_settings: Settings, mlflow_url: str) -> Settings:  # noqa: F811 - the fixture
    return tiny_settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})


@pytest.fixture
def client(mlflow_url: str) -> MlflowClient:  # noqa: F811 - the fixture
    found = MlflowClient(mlflow_url, mlflow_url)
    for version in found.search_model_versions(f"name = '{NAME}'"):
        found.delete_model_version(NAME, version.version)
    return found


def versions(client: MlflowClient) -> list[str]:
    """Tags of the versions, in order."""
    found = sorted(client.search_model_versions(f"name = '{NAME}'"), key=lambda each: int(each.version))
    return [each.tags[TAG] for each in found]


def test_encode_registers_the_frozen_encoder_once(engine: Engine, tracked: Settings, client: MlflowClient) -> None:
    learn(engine, 1, range(1, 9))
    first = encode(engine, tracked, fit_before=CUT)
    assert versions(client) == [first.encoder_version]
    learn(engine, 2, range(1, 4))
    encode(engine, tracked)
    assert versions(client) == [first.encoder_version]
    second = encode(engine, tracked, refit=True)
    assert versions(client) == [first.encoder_version, second.encoder_version]
    assert register(engine, tracked, str(first.encoder_version)) == register(
        engine, tracked, str(first.encoder_version)
    )


def test_what_is_read_back_gives_the_same_vectors_and_says_what_it_was_fitted_on(
    engine: Engine, tracked: Settings, client: MlflowClient
) -> None:
    learn(engine, 1, range(1, 9))
    report = encode(engine, tracked, fit_before=CUT)
    loaded = load_encoder(tracked, str(report.encoder_version))
    assert (loaded.fitted_texts, loaded.fitted_before, loaded.knowledge_version) == (7, CUT, "k1")
    assert (loaded.model, loaded.pooling, loaded.dimension) == (model_identity(tracked.encoder), "mean", 8)
    assert loaded.explained_variance == pytest.approx(report.explained_variance, abs=1e-6)
    with engine.connect() as connection:
        texts = connection.execute(
            text("SELECT text FROM liber.interest WHERE partition_no = 3 ORDER BY kind")
        ).scalars()  # fmt: skip
        again = loaded.projection.transform(KnowledgeEncoder(tracked.encoder).embed(list(texts))).ravel()
    stored = vectors(engine, str(report.encoder_version), "k1", 8)[2][2]
    assert np.allclose(again, stored, atol=1e-5)


def test_without_an_address_nothing_is_registered(
    engine: Engine, tiny_settings: Settings, client: MlflowClient
) -> None:
    learn(engine, 1, range(1, 5))
    encode(engine, tiny_settings)
    assert versions(client) == []


def test_mlflow_away_is_a_warning_and_the_next_run_catches_up(
    engine: Engine, tracked: Settings, client: MlflowClient, caplog: pytest.LogCaptureFixture
) -> None:
    learn(engine, 1, range(1, 5))
    nowhere = tracked.model_copy(update={"mlflow_tracking_uri": f"http://127.0.0.1:{free_port()}"})
    with caplog.at_level(logging.WARNING, "liber"):
        report = encode(engine, nowhere)
    assert report.encoded == 4
    assert [record.levelname for record in caplog.records if "not in MLflow yet" in record.message] == ["WARNING"]
    assert versions(client) == []
    assert encode(engine, tracked).encoded == 0
    assert versions(client) == [report.encoder_version]


def test_asked_for_by_name_mlflow_away_is_an_error(tiny_settings: Settings) -> None:
    nowhere = tiny_settings.model_copy(update={"mlflow_tracking_uri": f"http://127.0.0.1:{free_port()}"})
    with pytest.raises(ServiceUnavailable, match="MLFLOW_TRACKING_URI"):
        load_encoder(nowhere, "e1")


def test_an_encoder_that_is_not_there_is_named(engine: Engine, tracked: Settings, client: MlflowClient) -> None:
    with pytest.raises(InputError, match="'e9'"):
        register(engine, tracked, "e9")
    with pytest.raises(InputError, match="e9"):
        load_encoder(tracked, "e9")
    assert versions(client) == []


def test_a_run_that_was_stopped_before_its_version_is_passed_over(
    engine: Engine, tracked: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    learn(engine, 1, range(1, 5))
    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "create_model_version", lambda *a, **k: (_ for _ in ()).throw(OSError("stopped")))
        report = encode(engine, tracked)
    assert versions(client) == []
    encode(engine, tracked)
    assert versions(client) == [report.encoder_version]
    assert load_encoder(tracked, str(report.encoder_version)).encoder_version == report.encoder_version


def test_other_numbers_than_were_put_there_are_refused(
    engine: Engine, tracked: Settings, client: MlflowClient, tmp_path
) -> None:
    learn(engine, 1, range(1, 5))
    report = encode(engine, tracked)
    other = encode(engine, tracked.model_copy(update={"encoder_dimension": 6}))
    runs = {each.tags[TAG]: str(each.run_id) for each in client.search_model_versions(f"name = '{NAME}'")}
    wrong = client.download_artifacts(runs[str(other.encoder_version)], "encoder/pca.npz", str(tmp_path))
    client.log_artifact(runs[str(report.encoder_version)], wrong, "encoder")
    with pytest.raises(LiberError, match="damaged"):
        load_encoder(tracked, str(report.encoder_version))
