"""The comparison against a real MLflow server."""

import json
import secrets
import time

import mlflow
import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.training import registry, tracking
from liber_tasks.training.report import TrainReport
from liber_tasks.training.train import train
from tests.conftest import free_port
from tests.training.data import SMALL, fill


@pytest.fixture
def tracked(settings: Settings, mlflow_url: str) -> Settings:
    """Settings with the MLflow server and a model name of this test's own."""
    return settings.model_copy(
        update={"mlflow_tracking_uri": mlflow_url, "model_name": f"liber-{secrets.token_hex(4)}"}
    )


@pytest.fixture
def client(tracked: Settings) -> MlflowClient:
    return tracking.connect(tracked)


def _train(engine: Engine, settings: Settings, **changes: object) -> TrainReport:
    return train(engine, settings, **{"seeds": 2, "options": SMALL, **changes})  # type: ignore[arg-type]


def test_a_comparison_reports_tracks_registers_and_is_not_repeated(
    engine: Engine, tracked: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(engine)
    calls: list[tuple[int, int | None]] = []
    report = _train(
        engine, tracked, run_labels={"airflow.run": "r1"}, progress=lambda done, of, _: calls.append((done, of))
    )
    assert not report.reused
    assert calls == [(n, 4) for n in range(5)]
    assert report.rows_train + report.rows_test == 24 * 24
    assert report.rows_test > report.test_rows_with_vector > 0
    none, liber = report.variants["none"], report.variants["liber"]
    assert report.auc_difference is not None
    assert report.auc_difference.values == pytest.approx(
        [a - b for a, b in zip(liber.auc.values, none.auc.values, strict=True)]
    )
    assert report.auc_difference_with_vector is None  # fewer than 100 test rows with a vector
    assert (report.encoder_version, report.knowledge_version) == ("e1", "k1")

    run = client.get_run(report.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["airflow.run"] == "r1"
    assert run.data.tags["liber.summary_prompt"] == "summary/1"
    assert run.data.tags["liber.dataset_digest"] == report.digest
    assert run.data.params["learning_rate"] == "0.001"
    children = client.search_runs([report.experiment_id], f"tags.`mlflow.parentRunId` = '{report.run_id}'")
    assert len(children) == 4
    assert {child.info.status for child in children} == {"FINISHED"}
    curve = client.get_metric_history(children[0].info.run_id, "validation_log_loss")
    assert [point.step for point in curve] == list(range(1, len(curve) + 1))

    version = client.get_model_version_by_alias(tracked.model_name, "champion")
    assert (report.model_name, report.model_version, report.model_alias) == (
        tracked.model_name,
        version.version,
        "champion",
    )
    assert "partition_vectors" in version.description
    assert version.tags["liber.encoder_version"] == "e1"
    chosen = min(
        (c for c in children if c.data.params["memory"] == "liber"),
        key=lambda c: min(m.value for m in client.get_metric_history(c.info.run_id, "validation_log_loss")),
    )
    assert str(report.model_seed) == chosen.data.params["seed"]
    assert version.run_id == chosen.info.run_id

    again = _train(engine, tracked)
    assert again.reused
    assert TrainReport.from_dict({**again.to_dict(), "reused": False}) == report
    assert json.loads(json.dumps(report.to_dict())) == json.loads(json.dumps(registry.latest_report(tracked)))
    assert capsys.readouterr().out == ""

    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.behavior SET rating = 2 WHERE seq = 2"))
    changed = _train(engine, tracked, seeds=1, memory=("liber",))
    assert not changed.reused
    assert changed.auc_difference is None
    assert changed.model_version == str(int(version.version) + 1)
    assert client.get_model_version_by_alias(tracked.model_name, "champion").version == changed.model_version


def test_a_comparison_that_fails_midway_moves_no_alias_and_is_made_again(
    engine: Engine, tracked: Settings, client: MlflowClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine)

    def broken(*_: object, **__: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(mlflow, "register_model", broken)
        with pytest.raises(OSError, match="disk full"):
            _train(engine, tracked, seeds=1, memory=("liber",))
    with pytest.raises(LiberError, match="liber train"):
        registry.champion(client, tracked)
    experiment = tracking.experiment_id(client)
    failed = client.search_runs([experiment], f"params.model_name = '{tracked.model_name}' AND status = 'FAILED'")
    assert {run.data.tags["liber.kind"] for run in failed} == {"comparison", "fit"}
    report = _train(engine, tracked, seeds=1, memory=("liber",))
    assert not report.reused
    assert registry.champion(client, tracked).version == report.model_version


def test_a_deleted_model_version_is_trained_and_registered_again(
    engine: Engine, tracked: Settings, client: MlflowClient
) -> None:
    fill(engine)
    first = _train(engine, tracked, seeds=1, memory=("liber",))
    client.delete_model_version(tracked.model_name, str(first.model_version))
    second = _train(engine, tracked, seeds=1, memory=("liber",))
    assert not second.reused
    assert registry.champion(client, tracked).version == second.model_version


def test_the_backbone_alone_needs_no_vectors_and_registers_nothing(
    engine: Engine, tracked: Settings, client: MlflowClient
) -> None:
    fill(engine, vectors=False)
    report = _train(engine, tracked, seeds=1, memory=("none",))
    assert report.model_version is None
    assert report.encoder_version is None
    with pytest.raises(InputError, match="liber encode"):
        _train(engine, tracked)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"backbone": "dni"}, "'dni'.*din"), ({"memory": ("liber", "liber")}, "each once"), ({"seeds": 0}, "at least 1")],
)
def test_a_wrong_argument_is_named(engine: Engine, settings: Settings, wrong: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        _train(engine, settings, **wrong)


def test_an_mlflow_that_is_down_is_said_before_anything_is_read(engine: Engine, settings: Settings) -> None:
    down = settings.model_copy(update={"mlflow_tracking_uri": f"http://127.0.0.1:{free_port()}"})
    started = time.monotonic()
    with pytest.raises(ServiceUnavailable, match="MLflow does not answer"):
        _train(engine, down)  # the database is empty: reading it first would be an InputError
    assert time.monotonic() - started < 30
