"""The comparison against a real MLflow server."""

import json
import re
import time
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, ServiceUnavailable
from liber_tasks.training import registry, tracking
from liber_tasks.training.report import TrainReport
from liber_tasks.training.train import train
from tests.conftest import free_port
from tests.serving.world import add_text_vectors
from tests.training.data import SMALL, fill


def _challenger(client: MlflowClient, settings: Settings) -> str:
    return str(client.get_model_version_by_alias(settings.model_name, "challenger").version)


def _train(engine: Engine, settings: Settings, **changes: object) -> TrainReport:
    return train(engine, settings, **{"seeds": 2, "training": SMALL, **changes})  # type: ignore[arg-type]


def test_a_comparison_reports_tracks_registers_and_is_not_repeated(
    engine: Engine, tracked: Settings, client: MlflowClient, capsys: pytest.CaptureFixture[str]
) -> None:
    fill(engine)
    calls: list[tuple[int, int | None, str]] = []
    report = _train(engine, tracked, run_labels={"airflow.run": "r1"}, progress=lambda *call: calls.append(call))
    assert not report.reused
    assert calls[-1] == (4, 4, "training runs")
    samples = report.rows_train - report.rows_validation
    assert calls[0] == (64, samples, "run 1 of 4 (din, memory none, seed 0): samples of epoch 1")
    assert calls[-2][:2] == (samples, samples)
    assert calls[-2][2].startswith("run 4 of 4 (din, memory liber, seed 1): samples of epoch ")
    assert report.rows_train + report.rows_test == 24 * 24
    assert report.rows_test > report.test_rows_with_vector > 0
    none, liber = report.variants["none"], report.variants["liber"]
    assert report.auc_difference is not None
    assert report.auc_difference.values == pytest.approx(
        [a - b for a, b in zip(liber.auc.values, none.auc.values, strict=True)]
    )
    assert report.auc_interval is not None
    assert report.auc_interval.mean == pytest.approx(report.auc_difference.mean)
    assert report.auc_interval.low <= report.auc_interval.mean <= report.auc_interval.high
    assert report.auc_difference_with_vector is None  # fewer than 100 test rows with a vector
    assert (report.encoder_version, report.knowledge_version) == ("e1", "k1")

    run = client.get_run(report.run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["airflow.run"] == "r1"
    assert run.data.tags["liber.summary_prompt"] == "summary/1"
    assert run.data.tags["liber.dataset_digest"] == report.digest
    assert run.data.params["learning_rate"] == str(SMALL.learning_rate)
    children = client.search_runs([report.experiment_id], f"tags.`mlflow.parentRunId` = '{report.run_id}'")
    assert len(children) == 4
    assert {child.info.status for child in children} == {"FINISHED"}
    curve = client.get_metric_history(children[0].info.run_id, "validation_log_loss")
    assert [point.step for point in curve] == list(range(1, len(curve) + 1))

    version = client.get_model_version_by_alias(tracked.model_name, "challenger")
    assert (report.model_name, report.model_version, report.model_alias) == (
        tracked.model_name,
        version.version,
        "challenger",
    )
    assert "partition_vectors" in version.description
    assert registry.find(client, tracked, "champion") is None  # that is for a person to say
    assert version.tags["liber.encoder_version"] == "e1"
    assert version.tags["liber.options"] == "pooled"
    assert float(version.tags["liber.test_auc_mean"]) == pytest.approx(liber.auc.mean, abs=1e-4)
    assert re.fullmatch(
        r"[+-]0\.\d{4} \[[+-]0\.\d{4}, [+-]0\.\d{4}\]", version.tags["liber.test_auc_difference_to_backbone"]
    )
    assert float(version.tags["liber.test_auc_difference_p"]) == pytest.approx(report.auc_difference.p, abs=1e-4)
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
    assert client.get_model_version_by_alias(tracked.model_name, "challenger").version == changed.model_version


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
    assert registry.find(client, tracked, "challenger") is None
    experiment = tracking.experiment_id(client)
    failed = client.search_runs([experiment], f"params.model_name = '{tracked.model_name}' AND status = 'FAILED'")
    assert {run.data.tags["liber.kind"] for run in failed} == {"comparison", "fit"}
    report = _train(engine, tracked, seeds=1, memory=("liber",))
    assert not report.reused
    assert _challenger(client, tracked) == report.model_version


def test_stopped_in_a_later_run_it_trains_only_what_is_missing(
    engine: Engine, tracked: Settings, client: MlflowClient, tmp_path: Path
) -> None:
    fill(engine)

    class Stopped(BaseException):
        pass

    def stop(done: int, total: int | None, label: str) -> None:
        if label.startswith("run 2") and label.endswith("epoch 2"):
            raise Stopped

    with pytest.raises(Stopped):
        _train(engine, tracked, seeds=1, checkpoints=tmp_path, progress=stop)
    labels: list[str] = []
    report = _train(engine, tracked, seeds=1, checkpoints=tmp_path, progress=lambda _, of, label: labels.append(label))
    assert set(labels) == {"run 2 of 2 (din, memory liber, seed 0): samples of epoch 2", "training runs"}
    assert list(tmp_path.iterdir()) == []  # finished: nothing is left to go on with
    undisturbed = tracked.model_copy(update={"model_name": f"{tracked.model_name}-again"})
    expected = _train(engine, undisturbed, seeds=1)
    assert {name: v.auc for name, v in report.variants.items()} == {n: v.auc for n, v in expected.variants.items()}


def test_what_the_model_reads_is_needed_and_nothing_else(
    engine: Engine, tracked: Settings, client: MlflowClient
) -> None:
    fill(engine, vectors=False)
    add_text_vectors(engine)
    report = _train(engine, tracked, seeds=1, options=("affinity", "profile"), bundle=True)
    assert report.options == ("dense_profile", "lexical_profile", "affinity")
    of_items = {"dense_version": "texts", "lexical_version": "words"}
    assert (report.encoder_version, report.knowledge_version, report.item_versions) == (None, None, of_items)
    tags = client.get_model_version(tracked.model_name, str(report.model_version)).tags
    assert tags["liber.options"] == "dense_profile, lexical_profile, affinity"
    assert (tags["liber.item_dense_version"], tags["liber.item_lexical_version"]) == ("texts", "words")
    assert tags["liber.features"] == "bundle"
    assert "liber.encoder_version" not in tags
    assert not _train(engine, tracked, seeds=1, options=("affinity",)).reused
    assert _train(engine, tracked, seeds=1, options=("profile", "affinity"), bundle=True).reused


def test_a_report_of_another_version_of_this_code_is_not_taken(
    engine: Engine, tracked: Settings, client: MlflowClient
) -> None:
    fill(engine)
    first = _train(engine, tracked, seeds=1, memory=("none",))
    client.log_dict(
        first.run_id, {key: value for key, value in first.to_dict().items() if key != "options"}, "report.json"
    )
    again = _train(engine, tracked, seeds=1, memory=("none",))
    assert not again.reused
    assert again.variants["none"].auc == first.variants["none"].auc


def test_a_deleted_model_version_is_trained_and_registered_again(
    engine: Engine, tracked: Settings, client: MlflowClient
) -> None:
    fill(engine)
    first = _train(engine, tracked, seeds=1, memory=("liber",))
    client.delete_model_version(tracked.model_name, str(first.model_version))
    second = _train(engine, tracked, seeds=1, memory=("liber",))
    assert not second.reused
    assert _challenger(client, tracked) == second.model_version


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
    [
        ({"backbone": "dni"}, "'dni'.*din"),
        ({"memory": ("liber", "liber")}, "each once"),
        ({"seeds": 0}, "at least 1"),
        ({"options": ("poled",)}, "poled: give each once, of pooled"),
        ({"options": ("pooled", "mean")}, "give one of them"),
        ({"options": ()}, "at least one option"),
        ({"options": ("statistics",)}, "at least one option"),
    ],
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
