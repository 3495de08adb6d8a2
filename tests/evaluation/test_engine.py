"""Cells against a real MLflow server: what is kept is not trained again, in one process or in several."""

import os
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError
from liber_tasks.evaluation import cells, store
from liber_tasks.evaluation.cells import Cell, cells_of
from liber_tasks.evaluation.engine import outcomes
from liber_tasks.evaluation.store import PREDICTIONS, connected
from liber_tasks.evaluation.studies import Arm
from liber_tasks.training.dataset import Dataset
from tests.training.data import SMALL

KEY = "samples"


def _cells(dataset: Dataset, seeds: int = 2, *, options: tuple[str, ...] = (), key: str = KEY) -> list[Cell]:
    return cells_of(Arm("an arm", options), key, dataset, "din", seeds, lambda _: SMALL)


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels of the cells that this process trains."""
    labels: list[str] = []
    train = cells.train

    def noted(cell: Cell, dataset: Dataset) -> Any:
        labels.append(cell.label)
        return train(cell, dataset)

    monkeypatch.setattr(cells, "train", noted)
    return labels


def test_a_stopped_run_goes_on_and_several_processes_predict_what_one_does(
    tracked: Settings, dataset: Dataset, trained: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted, datasets = _cells(dataset, 4, options=("pooled",)), {KEY: dataset}
    told: list[tuple[int, int | None]] = []
    with connected(tracked) as kept:
        first = outcomes(kept, [*wanted[:1], *wanted[:1]], datasets)  # asked for twice, trained once
        assert trained == [wanted[0].label]
        both = outcomes(
            kept, wanted[:3], datasets, processes=2, progress=lambda done, of, _: told.append((done, of))
        )  # fmt: skip
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert trained == [wanted[0].label]  # the others elsewhere
    with connected(tracked) as kept:  # as another process finds it
        again = outcomes(kept, wanted[:3], datasets)
        assert len(trained) == 1
        with monkeypatch.context() as patch:
            patch.setattr(store, "EXPERIMENT", f"{store.EXPERIMENT}-alone")
            with connected(tracked) as empty:
                alone = outcomes(empty, wanted[:3], datasets)
    for cell in wanted[:3]:
        for other in (both, again):
            np.testing.assert_array_equal(other[cell.fingerprint].test, alone[cell.fingerprint].test)
    np.testing.assert_array_equal(first[wanted[0].fingerprint].test, alone[wanted[0].fingerprint].test)


@dataclass(frozen=True)
class Deadly(Dataset):
    """Samples at which the process that reads them dies, as if killed for want of memory."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (9,)


def test_a_killed_process_is_said_clearly_and_what_was_finished_stays(
    tracked: Settings, dataset: Dataset, trained: list[str]
) -> None:
    deadly = Deadly(**{field.name: getattr(dataset, field.name) for field in fields(dataset)})
    good, bad = _cells(dataset, 1), _cells(dataset, 2, options=("pooled",), key="deadly")
    with connected(tracked) as kept:
        outcomes(kept, good, {KEY: dataset})
        with pytest.raises(LiberError, match="fewer --processes"):
            outcomes(kept, [*good, *bad], {KEY: dataset, "deadly": deadly}, processes=2)
        outcomes(kept, good, {KEY: dataset})
    assert trained == [good[0].label]


def test_what_is_kept_of_a_cell_is_what_a_reader_looks_for(tracked: Settings, dataset: Dataset) -> None:
    (cell,) = _cells(dataset, 1, options=("pooled",))
    with connected(tracked) as kept:
        outcomes(kept, [cell], {KEY: dataset})
    client = MlflowClient(tracked.mlflow_tracking_uri)
    (run,) = client.search_runs([client.get_experiment_by_name(store.EXPERIMENT).experiment_id])
    assert run.info.status == "FINISHED"
    assert run.data.params["backbone"] == "din"
    assert run.data.params["learning_rate"] == str(SMALL.learning_rate)
    assert run.data.tags["liber.dataset_digest"] == dataset.digest
    assert run.data.tags["liber.knowledge_version"] == "k1"
    curve = client.get_metric_history(run.info.run_id, "validation_log_loss")
    assert [point.step for point in curve] == list(range(1, len(curve) + 1))
    assert 0 <= run.data.metrics["test_auc"] <= 1


def test_what_was_kept_badly_or_not_to_the_end_is_trained_again(
    tracked: Settings, dataset: Dataset, trained: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (cell,) = wanted = _cells(dataset, 1)
    monkeypatch.setattr(store, "PAGE", 1)  # several pages of runs

    def full(*_: object) -> None:
        raise OSError("disk full")

    with monkeypatch.context() as patch, connected(tracked) as kept:
        patch.setattr(store.Store, "files", full)
        with pytest.raises(OSError, match="disk full"):
            outcomes(kept, wanted, {KEY: dataset})
    for reason in ("the run before did not get to its end", "its file is no outcome", "its file is of other samples"):
        with connected(tracked) as kept:
            outcome = outcomes(kept, wanted, {KEY: dataset})[cell.fingerprint]
            run = kept._runs[cell.fingerprint]
            short = cells.Outcome(outcome.test[1:], outcome.validation, outcome.curve, 1, 0.0)
        assert len(trained) == 2, reason
        del trained[1:]
        spoilt = short.to_bytes() if reason == "its file is no outcome" else b"PK garbage"
        (tmp_path / PREDICTIONS).write_bytes(spoilt)
        MlflowClient(tracked.mlflow_tracking_uri).log_artifact(run, str(tmp_path / PREDICTIONS))
