"""What runs every day: due experiments, alarms, and at the end calibration and the record in MLflow."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.experiment import daily
from liber_tasks.experiment.calibration import calibrate_experiment
from liber_tasks.experiment.publish import MLFLOW_EXPERIMENT, publish
from liber_tasks.experiment.readout import readout
from liber_tasks.experiment.simulate import simulate
from liber_tasks.types import silent
from tests.experiment.conftest import END, START, AddExperiment
from tests.services_mlflow import mlflow_url  # noqa: F401

NAME = "liber-memory-simulated"
PARAMS = {"experiment": None, "simulate": False}
DAY = timedelta(days=1)


def run(engine: Engine, statement: str, **parameters: object) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement), parameters)


def test_experiments_are_due_from_their_first_day_until_late_plays_are_in(
    engine: Engine, settings: Settings, add_experiment: AddExperiment
) -> None:
    add_experiment("running")
    add_experiment("archived")
    run(engine, "UPDATE liber.experiment SET archived_at = now() WHERE name = 'archived'")
    for moment, found in ((START, []), (START + DAY, ["running"]), (END + DAY, ["running"]), (END + 3 * DAY, [])):
        assert daily.due(settings, PARAMS, moment, silent) == found
    assert daily.due(settings, PARAMS | {"experiment": "any"}, END, silent) == ["any"]
    assert daily.due(settings, PARAMS | {"simulate": True}, None, silent) == [NAME]


def test_a_broken_split_and_a_breached_guardrail_wake_somebody_up(engine: Engine, settings: Settings) -> None:
    simulate(engine, users=20_000, lift_play_count=-0.5, lift_play_time=-0.5)
    metrics = [{"name": "play_time", "role": "primary"}, {"name": "play_count", "role": "guardrail", "margin": 0.01}]
    run(engine, "UPDATE liber.experiment SET definition = cast(:d AS jsonb)", d=json.dumps({"metrics": metrics}))
    day = daily.read(settings, NAME, datetime(2026, 1, 7, tzinfo=UTC), silent)
    (breach,) = daily.alarms_of(settings, day)
    assert "guardrail play_count is worse by more than its margin of 1.0%" in breach
    assert not daily.finish(settings, day, silent)
    run(engine, "DELETE FROM liber.exposure WHERE arm = 'treatment' AND user_id < 'sim-0005000'")
    run(engine, "TRUNCATE liber.user_metric, liber.metric_progress")
    (mismatch,) = daily.alarms_of(settings, daily.read(settings, NAME, None, silent))
    assert "sample ratio mismatch" in mismatch


def test_the_final_readout_is_calibrated_and_goes_to_mlflow_beside_its_models(
    engine: Engine,
    settings: Settings,
    mlflow_url: str,  # noqa: F811
) -> None:
    client = MlflowClient(mlflow_url)
    client.create_registered_model("ab-model")
    source = client.create_run(client.create_experiment("ab-source"))
    for _ in range(2):
        client.create_model_version("ab-model", source.info.artifact_uri, source.info.run_id)
    simulate(engine, users=10_000)
    models = {"control": "models:/ab-model/1", "treatment": "models:/ab-model/2"}
    run(engine, "UPDATE liber.experiment SET definition = cast(:d AS jsonb)", d=json.dumps({"models": models}))
    tracked = settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    with pytest.raises(InputError, match="no final readout yet"):
        publish(engine, tracked, NAME)
    day = daily.read(tracked, NAME, None, silent)
    assert daily.finish(tracked, day, silent)
    assert daily.finish(tracked, day, silent)  # again: nothing twice

    (logged,) = client.search_runs([client.get_experiment_by_name(MLFLOW_EXPERIMENT).experiment_id])
    record = readout(engine, NAME)
    assert logged.data.metrics["play_time.lift"] == pytest.approx(record.metrics["play_time"].best.lift)
    assert [one.path for one in client.list_artifacts(logged.info.run_id)] == ["readout.json"]
    for version in ("1", "2"):
        tag = json.loads(client.get_model_version("ab-model", version).tags["ab_readout"])
        assert tag == {"experiment": NAME, "run": logged.info.run_id}

    calibrated = calibrate_experiment(engine, NAME)
    assert calibrated["splits"] == 5_000
    assert calibrated["users"] == sum(record.users.values())
    rates = {(one["metric"], one["method"]): one for one in calibrated["rates"]}
    assert {method for _, method in rates} == {"raw", "cuped", "capped", "capped_cuped"}
    for one in rates.values():
        assert one["rate"] == pytest.approx(0.05, abs=0.015)
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM liber.readout_calibration")).scalar_one() == 1


def test_a_model_that_is_not_registered_is_named(
    engine: Engine,
    settings: Settings,
    mlflow_url: str,  # noqa: F811
) -> None:
    simulate(engine, users=5_000)
    models = {"control": "models:/none/1", "treatment": "models:/none@champion"}
    run(engine, "UPDATE liber.experiment SET definition = cast(:d AS jsonb)", d=json.dumps({"models": models}))
    readout(engine, NAME)
    with pytest.raises(InputError, match="models control is models:/none/1, which is not registered"):
        publish(engine, settings.model_copy(update={"mlflow_tracking_uri": mlflow_url}), NAME)


def test_an_experiment_that_was_not_read_cannot_be_calibrated(engine: Engine) -> None:
    simulate(engine, users=2_000)
    with pytest.raises(InputError, match="was not read yet"):
        calibrate_experiment(engine, NAME)
