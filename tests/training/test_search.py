"""Hyperparameters are chosen on the validation tail, each candidate trained once."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine

from liber_tasks import training_jobs
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.training import search, tracking
from liber_tasks.training.evaluate import log_loss
from liber_tasks.training.fit import fit, predict
from liber_tasks.training.load import load
from liber_tasks.training.options import Options, options_for
from liber_tasks.training.parts import TEST, VALIDATION
from liber_tasks.training.plan import BOTH, Plan
from tests.training.data import fill

GRID: dict[str, Any] = {"learning_rate": [1e-3, 1e-2], "dropout": [0.0, 0.4]}
PLAN = Plan("din", BOTH, ("pooled",), 1, options_for("din"))
SMALL = {"embedding_size": 8, "hidden": [16, 8], "batch_size": 64, "max_epochs": 1}


def test_a_grid_is_every_combination_once() -> None:
    assert search.candidates(GRID, Options()) == [
        {"learning_rate": rate, "dropout": dropout} for rate in (1e-3, 1e-2) for dropout in (0.0, 0.4)
    ]
    assert search.candidates({"dropout": [0, 0.0, 0.1]}, Options()) == [{"dropout": 0}, {"dropout": 0.1}]
    assert search.candidates(None, Options()) == search.candidates({}, Options()) == [{}]


def test_a_candidate_changes_what_it_names_and_nothing_else() -> None:
    base = Options(patience=3)
    assert search.changed(base, {"hidden": [8, 4], "learning_rate": 1}) == replace(
        base, hidden=(8, 4), learning_rate=1.0
    )
    assert search.changed(base, {}) == base


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"learnig_rate": [1e-3]}, "no hyperparameter 'learnig_rate': choose of batch_size"),
        ({"dropout": 0.2}, "dropout is 0.2: give a list"),
        ({"dropout": []}, "give a list"),
        ({"dropout": [1.0]}, "dropout is 1.0: it must be from 0 to below 1"),
        ({"learning_rate": ["fast"]}, "learning_rate is 'fast': it must be above 0"),
        ({"learning_rate": [True]}, "learning_rate is True"),
        ({"batch_size": [0.5]}, "batch_size is 0.5: it must be a whole number above 0"),
        ({"hidden": [[200, 0]]}, "hidden is .* list of widths"),
        ({"dropout": [n / 100 for n in range(99)], "patience": [1, 2, 3]}, "297 combinations"),
    ],
)
def test_a_wrong_grid_is_named(grid: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        search.candidates(grid, Options())


def _fit(engine: Engine, settings: Settings, **candidate: Any) -> str:
    return search.fit_candidate(engine, settings, {**SMALL, **candidate}, backbone="din")


def test_the_best_on_validation_is_chosen_and_nothing_of_the_test_rows_is_kept(
    engine: Engine, tracked: Settings
) -> None:
    fill(engine)
    client = tracking.connect(tracked)
    candidates = [{"learning_rate": 1e-4}, {"learning_rate": 3e-2}, {"learning_rate": 1e-3}]
    runs = [_fit(engine, tracked, **candidate) for candidate in candidates]
    losses = []
    dataset = load(engine, tracked, PLAN.reads)
    truth = dataset.label[dataset.rows(VALIDATION)].numpy()
    for candidate, run in zip(candidates, runs, strict=True):
        training = search.changed(options_for("din"), {**SMALL, **candidate})
        plan = replace(PLAN, training=training)
        fits = [fit(dataset, plan.config(memory, dataset), training, 0) for memory in plan.memory]
        own = [log_loss(truth, predict(f.model, dataset, dataset.rows(VALIDATION), f.config)) for f in fits]
        losses.append(np.mean(own))
        assert client.get_run(run).data.metrics["validation_log_loss"] == pytest.approx(losses[-1])
    assert search.best(tracked, runs) == {**SMALL, **candidates[int(np.argmin(losses))]}
    experiment = [tracking.experiment_id(client)]
    kept = [client.get_run(run) for run in runs]
    for run in runs:
        kept += client.search_runs(experiment, f"tags.`mlflow.parentRunId` = '{run}'")
    assert len(kept) == 3 + 2 * 3
    assert not [name for run in kept for name in run.data.metrics if "test" in name]


def test_test_rows_decide_nothing(engine: Engine, tracked: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(engine)
    dataset = load(engine, tracked, PLAN.reads)
    turned = dataset.label.clone()
    turned[dataset.rows(TEST)] = 1 - turned[dataset.rows(TEST)]
    scores = []
    for digest, label in (("a", dataset.label), ("b", turned)):
        changed = replace(dataset, label=label, digest=f"{tracked.model_name}-{digest}")
        monkeypatch.setattr(search, "load", lambda *_, changed=changed: changed)
        scores.append(tracking.connect(tracked).get_run(_fit(engine, tracked)).data.metrics["validation_log_loss"])
    assert scores[0] == scores[1]


def test_a_candidate_is_trained_once(engine: Engine, tracked: Settings) -> None:
    fill(engine, seed=3)
    first = _fit(engine, tracked)
    assert _fit(engine, tracked) == first
    assert _fit(engine, tracked, dropout=0.1) != first


def test_candidates_on_different_data_are_not_compared(engine: Engine, tracked: Settings, client: MlflowClient) -> None:
    fill(engine, seed=4)
    first = _fit(engine, tracked)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE liber.behavior SET rating = 6 - rating WHERE seq = 3")
    with pytest.raises(LiberError, match="data changed during the search"):
        search.best(tracked, [first, _fit(engine, tracked)])


def test_without_a_choice_nothing_is_searched() -> None:
    settings = Settings(_env_file=None)  # type: ignore[call-arg]
    assert training_jobs.candidates(settings, None) == training_jobs.candidates(settings, {"dropout": [0.1]}) == []
    assert len(training_jobs.candidates(settings, GRID)) == 4
    assert training_jobs.choose(settings, None, []) == {}
    assert training_jobs.choose(settings, {"dropout": [0.1]}, []) == {"dropout": 0.1}


def test_the_setting_says_what_the_model_with_memory_reads() -> None:
    settings = Settings(_env_file=None, model_options=" affinity, pooled")  # type: ignore[call-arg]
    assert training_jobs.options_of(settings) == ("pooled", "affinity")
    wrong = settings.model_copy(update={"model_options": "poled"})
    with pytest.raises(InputError, match=r"LIBER_MODEL_OPTIONS is 'poled'.*of pooled, mean"):
        training_jobs.options_of(wrong)
