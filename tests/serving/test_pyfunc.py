"""The registered model as a consumer has it, and scores through it."""

import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import psycopg2
import pytest
from mlflow.exceptions import MlflowException
from sqlalchemy import Engine

from liber_tasks import db
from liber_tasks.config import ROOT, Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.local.postgres import Cluster
from liber_tasks.serving.features import features
from liber_tasks.serving.score import score
from liber_tasks.training.dataset import TEST, load
from liber_tasks.training.fit import predict
from liber_tasks.training.train import train
from tests.training.data import SMALL, fill

CONSUMER = """
import sys, mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
model.predict(pandas.read_pickle(sys.argv[2])).to_pickle(sys.argv[3])
import liber_tasks
print(liber_tasks.__file__)
"""


@dataclass(frozen=True)
class Trained:
    engine: Engine
    settings: Settings

    @property
    def uri(self) -> str:
        return f"models:/{self.settings.model_name}@champion"


@pytest.fixture(scope="module")
def trained(cluster: Cluster, mlflow_url: str) -> Iterator[Trained]:
    """A database with a registered champion."""
    name = f"serving_{secrets.token_hex(4)}"
    with closing(psycopg2.connect(cluster.url("postgres"))) as admin:
        admin.autocommit = True
        admin.cursor().execute(f"CREATE DATABASE {name} TEMPLATE liber_template")
        engine = db.engine(cluster.url(name))
        settings = Settings(_env_file=None, database_url=cluster.url(name), model_name=name)  # type: ignore[call-arg]
        settings = settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
        fill(engine, plays=True)
        train(engine, settings, seeds=1, memory=("liber",), options=SMALL)
        yield Trained(engine, settings)
        admin.cursor().execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
def model(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> mlflow.pyfunc.PyFuncModel:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained.settings.require("mlflow_tracking_uri"))
    return mlflow.pyfunc.load_model(trained.uri)


def test_serving_and_training_give_a_sample_the_same_score(trained: Trained, model: mlflow.pyfunc.PyFuncModel) -> None:
    dataset = load(trained.engine, trained.settings)
    test = dataset.rows(TEST)[::9]
    expected = predict(model.unwrap_python_model().model, dataset, test)
    with trained.engine.connect() as connection:
        cursor = connection.connection.cursor()
        cursor.execute("SELECT user_id, item_id, event_time FROM liber.behavior "
                       "JOIN liber.user_profile USING (user_key) "
                       "JOIN liber.item USING (item_key) WHERE kind = 'rating' "
                       "ORDER BY user_key, event_time, seq")  # fmt: skip
        rows = cursor.fetchall()
    samples = [rows[place] for place in test.tolist()]
    frame = pd.concat([features(trained.engine, [user], [item], at) for user, item, at in samples])
    assert frame["partition_vectors"].map(len).gt(0).any()
    np.testing.assert_allclose(model.predict(frame)["probability"], expected, rtol=1e-5)


def test_a_consumer_with_nothing_but_the_registry_gets_the_same_scores(
    trained: Trained, model: mlflow.pyfunc.PyFuncModel, tmp_path: Path
) -> None:
    frame = features(trained.engine, ["u1", "u20", "nobody"], ["i1", "i2", "i3"])
    frame.to_pickle(tmp_path / "in.pkl")
    done = subprocess.run(
        [sys.executable, "-c", CONSUMER, trained.uri, "in.pkl", "out.pkl"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env={"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": trained.settings.require("mlflow_tracking_uri")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert not Path(done.stdout.strip().splitlines()[-1]).is_relative_to(ROOT)  # it ran the code it carries
    found = pd.read_pickle(tmp_path / "out.pkl")["probability"]
    np.testing.assert_allclose(found, model.predict(frame)["probability"], rtol=1e-6)
    assert found.between(0, 1).all()


def test_the_signature_is_enforced(trained: Trained, model: mlflow.pyfunc.PyFuncModel) -> None:
    frame = features(trained.engine, ["u1"], ["i1"])
    with pytest.raises(MlflowException, match="history_ratings"):
        model.predict(frame.drop(columns="history_ratings"))
    with pytest.raises(MlflowException, match="history_item_ids"):
        model.predict(frame.assign(history_item_ids="i1"))
    with pytest.raises(Exception, match="Row 0: partition_vectors holds a vector of 2 numbers, the model reads 4"):
        model.predict(frame.assign(partition_vectors=[[[1.0, 2.0]]]))


def test_optional_columns_may_be_left_out(trained: Trained, model: mlflow.pyfunc.PyFuncModel) -> None:
    frame = features(trained.engine, ["nobody"], ["i0"])
    bare = frame.drop(columns=["age", "gender", "occupation", "genres", "year"])
    np.testing.assert_allclose(model.predict(bare)["probability"], model.predict(frame)["probability"])


def test_only_what_serving_needs_is_required_and_the_code_is_carried(
    trained: Trained, model: mlflow.pyfunc.PyFuncModel
) -> None:
    required = Path(mlflow.pyfunc.get_model_dependencies(trained.uri)).read_text().splitlines()
    assert [line.split("==")[0] for line in required] == ["mlflow", "numpy", "pandas", "safetensors", "torch"]
    assert not any("+" in line for line in required)


def test_candidates_are_scored_best_first_for_known_and_new_users(trained: Trained) -> None:
    for user in ("u1", "nobody"):
        scores = score(trained.engine, trained.settings, user, ["i1", "i2", "i3"])
        assert {row["item_id"] for row in scores} == {"i1", "i2", "i3"}
        assert [row["probability"] for row in scores] == sorted((row["probability"] for row in scores), reverse=True)
        assert {row["model_version"] for row in scores} == {"1"}


def test_a_score_as_of_a_moment_knows_nothing_later(trained: Trained) -> None:
    moment = load(trained.engine, trained.settings).cut - timedelta(days=30)
    before_all = score(trained.engine, trained.settings, "u1", ["i1"], at=moment)
    assert before_all != score(trained.engine, trained.settings, "u1", ["i1"])


def test_what_cannot_be_scored_is_said(trained: Trained) -> None:
    with pytest.raises(InputError, match="'iX'"):
        score(trained.engine, trained.settings, "u1", ["i1", "iX"])
    with pytest.raises(InputError, match="at least one item"):
        score(trained.engine, trained.settings, "u1", [])
    with pytest.raises(LiberError, match="liber train"):
        score(trained.engine, trained.settings.model_copy(update={"model_name": "none-yet"}), "u1", ["i1"])
