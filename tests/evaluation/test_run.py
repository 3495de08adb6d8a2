"""Studies from the database to their report, against a real MLflow server."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.evaluation import cells, samples, store
from liber_tasks.evaluation.cells import Cell
from liber_tasks.evaluation.report import Report
from liber_tasks.evaluation.run import run, run_table7
from liber_tasks.evaluation.samples import Samples
from liber_tasks.evaluation.speed import WHATS
from liber_tasks.evaluation.studies import Arm
from liber_tasks.learning import with_version
from liber_tasks.training.dataset import Dataset
from tests.training.data import SMALL, VECTOR, fill, insert, keys, versions


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels of the cells that are trained, in order."""
    labels: list[str] = []
    train = cells.train

    def noted(cell: Cell, dataset: Dataset) -> Any:
        labels.append(cell.label)
        return train(cell, dataset)

    monkeypatch.setattr(cells, "train", noted)
    return labels


def _run(engine: Engine, settings: Settings, name: str, **changes: Any) -> Report:
    return run(engine, settings, name, **{"backbones": ("din",), "seeds": 1, "draws": 20,
                                          "training": lambda _: SMALL, **changes})  # fmt: skip


def _execute(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def test_a_study_trains_compares_reports_and_trains_nothing_the_second_time(
    engine: Engine, tracked: Settings, trained: list[str], tmp_path: Path
) -> None:
    fill(engine)
    report = _run(engine, tracked, "table2", seeds=2, out=tmp_path)
    assert trained == [f"din {arm}, seed {seed}" for arm in ("base", "liber") for seed in (0, 1)]
    assert [(row.variant, row.against) for row in report.rows] == [("base", None), ("liber", "base")]
    (pair,) = report.comparisons
    base, liber = report.rows
    assert pair.lift == pytest.approx(liber.auc - base.auc)  # type: ignore[operator]
    protocol = report.protocol
    assert protocol.rows_train + protocol.rows_validation + protocol.rows_test == 24 * 24
    assert protocol.rows_test > protocol.rows_with_vector > 0
    assert report.knowledge == {"full": {"model": "llm", "knowledge_version": "k1", "encoder_version": "e1"}}
    assert "2 seeds are too few for a claim, 5 are needed." in report.verdict
    assert sorted(Path(path).name for path in report.files) == [f"table2.{kind}" for kind in ("html", "json", "md",
                                                                                              "svg")]  # fmt: skip
    client = MlflowClient(tracked.mlflow_tracking_uri)
    kept = client.get_run(str(report.run_id))
    assert kept.data.tags["liber.kind"] == "table2"
    assert kept.data.tags["liber.dataset_digest"] == protocol.digest
    names = sorted(file.path for file in client.list_artifacts(str(report.run_id)))
    assert names == sorted(Path(path).name for path in report.files)
    stored = Path(client.download_artifacts(str(report.run_id), "table2.json", str(tmp_path))).read_text()
    assert json.loads(stored)["rows"] == json.loads(report.to_json())["rows"]

    again = _run(engine, tracked, "table2", seeds=2)
    assert len(trained) == 4
    assert replace(again, files=report.files) == report

    _run(engine, tracked, "table2", seeds=3)
    assert trained[4:] == ["din base, seed 2", "din liber, seed 2"]  # the further seed only

    figure = _run(engine, tracked, "figure4", seeds=2)
    assert trained[6:] == ["din mean, seed 0", "din mean, seed 1"]  # base and liber are those of table2
    notes = {row.variant: row.note for row in figure.rows if row.auc is None}
    assert set(notes) == {"no_partition", "no_shift"}
    for name, note in notes.items():
        assert f"LIBER_LEARN_VARIANT={name} liber learn" in note
        assert any(line.startswith(f"{name}: not learnt") for line in figure.verdict)


def test_changed_data_is_trained_anew_and_only_where_a_model_can_see_it(
    engine: Engine, tracked: Settings, trained: list[str]
) -> None:
    fill(engine)
    _run(engine, tracked, "table2")
    _execute(engine, "UPDATE liber.interest_vector SET vector = vector * '[-1,2,1,1]'")
    _run(engine, tracked, "table2")
    assert trained[2:] == ["din liber, seed 0"]
    _execute(engine, "UPDATE liber.behavior SET rating = 6 - rating WHERE seq = 3 AND rating = 5")
    _run(engine, tracked, "table2")
    assert trained[3:] == ["din base, seed 0", "din liber, seed 0"]
    _run(engine, tracked, "table2", training=lambda _: replace(SMALL, learning_rate=0.01))
    assert trained[5:] == ["din base, seed 0", "din liber, seed 0"]


def test_a_study_that_is_stopped_goes_on_with_what_is_kept(
    engine: Engine, tracked: Settings, trained: list[str]
) -> None:
    fill(engine)

    def stopped(done: int, _: int | None, label: str) -> None:
        if done == 2 and label.startswith("models"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _run(engine, tracked, "controls", progress=stopped)
    assert len(trained) == 2
    report = _run(engine, tracked, "controls")
    assert [label.split()[1] for label in trained] == ["base,", "liber,", "random,", "raw_text,", "genres,",
                                                       "shuffled,"]  # fmt: skip
    assert {(each.variant, each.against) for each in report.comparisons} >= {
        ("liber", control) for control in ("random", "raw_text", "genres", "shuffled")
    }
    (said,) = report.verdict
    assert said.startswith("din: no lift is claimed")


def test_texts_of_a_variant_are_read_once_they_are_there(engine: Engine, tracked: Settings) -> None:
    fill(engine)
    variant = tracked.model_copy(update={"learn_variant": "no_partition", "knowledge_version": None})
    version = str(with_version(variant).knowledge_version)
    versions(engine, "e2", version, dimension=2)
    insert(engine, "interest_vector", VECTOR, [(keys(engine, "user")["u0"], n, "e2", version, f"[{n},1]")
                                               for n in (1, 2, 3)])  # fmt: skip
    found = Samples(engine, tracked, ())
    arm = Arm("no_partition", ("pooled",), learnt="no_partition")
    assert found.not_learnt(arm) is None
    dataset = found.datasets[found.of(arm)]
    assert dataset.vectors.tolist() == [[1, 1], [2, 1], [3, 1]]
    assert int((dataset.memory[:, 1] - dataset.memory[:, 0]).max()) == 1  # one text, not one a partition
    assert found.not_learnt(Arm("no_shift", ("pooled",), learnt="no_shift")) is not None
    bare = found.of(Arm("base", learnt="no_partition"))
    assert bare == found.of(Arm("base"))  # what reads no vector does not care


def test_samples_that_changed_while_they_were_read_are_refused(engine: Engine, tracked: Settings) -> None:
    fill(engine)
    found = Samples(engine, tracked, ())
    found.of(Arm("base"))
    _execute(engine, "UPDATE liber.behavior SET rating = 6 - rating WHERE seq = 3")
    with pytest.raises(LiberError, match="when nothing writes"):
        found.of(Arm("short", max_history=5))


def test_each_kind_of_samples_is_loaded_once(
    engine: Engine, tracked: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(engine)
    loaded = []
    load = samples.load
    monkeypatch.setattr(
        samples, "load", lambda *given, **named: loaded.append(named["max_history"]) or load(*given, **named)
    )
    found = Samples(engine, tracked, ())
    for arm in (Arm("base"), Arm("liber", ("pooled",)), Arm("random", ("pooled",), source="random"),
                Arm("base_5", max_history=5), Arm("base_50")):  # fmt: skip
        found.of(arm)
    assert loaded == [50, 5]


def test_table7_times_every_backbone_and_reports_it(engine: Engine, tracked: Settings, tmp_path: Path) -> None:
    fill(engine)
    report = run_table7(engine, tracked, backbones=("din", "deepfm"), rounds=2, training=lambda _: SMALL, out=tmp_path)
    assert [(each.backbone, each.what) for each in report.speeds] == [
        (backbone, what) for backbone in ("din", "deepfm") for what in WHATS
    ]
    assert report.verdict[0].startswith("Time with LIBER by time without, model alone: din ")
    assert (tmp_path / "table7.svg").exists()
    with pytest.raises(InputError, match="--rounds is 0"):
        run_table7(engine, tracked, rounds=0)


@pytest.mark.parametrize(
    ("name", "wrong", "message"),
    [
        ("table3", {}, "'table3'.*table2, controls, figure4, ablation, figure1, memory or table7"),
        ("table2", {"backbones": ("din", "dni")}, "'dni'.*deepfm"),
        ("table2", {"seeds": 0}, "--seeds is 0"),
        ("table2", {"processes": 0}, "--processes is 0"),
    ],
)
def test_a_wrong_argument_is_named_before_anything_is_read(
    engine: Engine, settings: Settings, name: str, wrong: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        _run(engine, settings, name, **wrong)  # no MLflow is set and the database is empty


def test_data_that_is_not_there_is_said_before_anything_is_trained(
    engine: Engine, tracked: Settings, trained: list[str]
) -> None:
    bare = tracked.model_copy(update={"knowledge_version": None})
    with pytest.raises(InputError, match="liber ingest"):
        _run(engine, bare, "table2")
    fill(engine, vectors=False)
    with pytest.raises(InputError, match="liber encode"):
        _run(engine, bare, "table2")
    with pytest.raises(InputError, match="liber encode --items"):
        _run(engine, bare, "ablation")
    _execute(engine, "UPDATE liber.behavior SET rating = 5")
    versions(engine, "e1", "k1")
    insert(engine, "interest_vector", VECTOR, [(keys(engine, "user")["u0"], 1, "e1", "k1", "[1,2,3,4]")])
    with pytest.raises(InputError, match="one class"):
        _run(engine, tracked, "table2")
    assert trained == []


def test_a_report_is_kept_only_when_it_is_whole(
    engine: Engine, tracked: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fill(engine)
    keep = store.Store.files

    def full(self: store.Store, run_id: str, files: dict[str, bytes]) -> None:
        if "table2.md" in files:
            raise OSError("disk full")
        keep(self, run_id, files)

    with monkeypatch.context() as patch:
        patch.setattr(store.Store, "files", full)
        with pytest.raises(OSError, match="disk full"):
            _run(engine, tracked, "table2", out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
    client = MlflowClient(tracked.mlflow_tracking_uri)
    experiment = client.get_experiment_by_name(store.EXPERIMENT).experiment_id
    (failed,) = client.search_runs([experiment], "tags.`liber.kind` = 'table2'")
    assert failed.info.status == "FAILED"
