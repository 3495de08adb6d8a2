"""The registered model as its consumers have it: from the registry alone, over HTTP, with a database or a bundle."""

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from packaging.requirements import Requirement

from liber_tasks.config import ROOT, Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.serving.score import score
from liber_tasks.training import registry, tracking
from liber_tasks.training.fit import predict
from liber_tasks.training.parts import TEST
from tests.conftest import free_port
from tests.serving.world import World, fitted

OPTIONS = ("pooled", "profile", "affinity")
CONSUMER = """
import sys, json, mlflow, pandas
model = mlflow.pyfunc.load_model(sys.argv[1])
found = model.predict(pandas.read_json(sys.argv[2], orient="records", dtype=False))
import liber_tasks
print(json.dumps({"scores": found["probability"].tolist(), "code": liber_tasks.__file__,
                  "modules": sorted(name.split(".")[0] for name in sys.modules)}))
"""


@dataclass(frozen=True)
class Registered:
    world: World
    settings: Settings
    uri: str

    @property
    def champion(self) -> str:
        return f"models:/{self.settings.model_name}@champion"

    @property
    def bundle(self) -> str:
        return f"models:/{self.settings.model_name}/2"


@pytest.fixture(scope="module")
def registered(world: World, mlflow_url: str) -> Registered:
    """Version 1 reads the database and is champion; version 2 carries its features."""
    settings = world.settings.model_copy(update={"mlflow_tracking_uri": mlflow_url})
    client = tracking.connect(settings)
    model = fitted(world.dataset, *OPTIONS)
    for bundle in (False, True):
        run = client.create_run(tracking.experiment_id(client))
        registry.register(client, settings, run.info.run_id, model, world.dataset, {"liber.backbone": "din"}, bundle)
    client.set_registered_model_alias(settings.model_name, "champion", "1")
    return Registered(world, settings, mlflow_url)


@pytest.fixture
def model(registered: Registered, dsn: str, monkeypatch: pytest.MonkeyPatch) -> mlflow.pyfunc.PyFuncModel:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registered.uri)
    return mlflow.pyfunc.load_model(registered.champion)


def test_training_sets_the_challenger_and_nothing_else(registered: Registered) -> None:
    client = MlflowClient(registered.uri, registered.uri)
    version = client.get_model_version_by_alias(registered.settings.model_name, "challenger")
    assert version.version == "2"
    assert version.tags == {"liber.backbone": "din", "liber.features": "bundle"}
    assert client.get_model_version(registered.settings.model_name, "1").tags["liber.features"] == "database"
    assert "@champion" in version.description


def test_the_loaded_champion_scores_samples_as_training_did(
    registered: Registered, model: mlflow.pyfunc.PyFuncModel
) -> None:
    rows = registered.world.dataset.rows(TEST)[::3]
    own = fitted(registered.world.dataset, *OPTIONS)
    expected = predict(own.model, registered.world.dataset, rows, own.config)
    found = model.predict(registered.world.samples(rows).assign(context='{"device": "tv"}'))
    np.testing.assert_allclose(found["probability"], expected, atol=1e-5)


def test_its_example_scores_without_a_database(registered: Registered, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registered.uri)
    loaded = mlflow.pyfunc.load_model(registered.champion)
    assert loaded.predict(loaded.input_example)["probability"].between(0, 1).all()


def test_the_signature_is_enforced(model: mlflow.pyfunc.PyFuncModel) -> None:
    frame = pd.DataFrame({"user_id": ["u1"], "item_id": ["i3"]})
    with pytest.raises(MlflowException, match="item_id"):
        model.predict(frame.drop(columns="item_id"))
    with pytest.raises(MlflowException, match="user_id"):
        model.predict(frame.assign(user_id=1))
    with pytest.raises(MlflowException, match="history_item_ids"):
        model.predict(frame.assign(history_item_ids="i1"))


def test_a_message_reaches_the_caller_whole(model: mlflow.pyfunc.PyFuncModel) -> None:
    frame = pd.DataFrame({"user_id": ["u1"], "item_id": ["i3"], "time": ["2024-01-01T00:00:00"]})
    with pytest.raises(MlflowException, match="Row 0: time is 2024-01-01T00:00:00, without a zone") as error:
        model.predict(frame)
    assert isinstance(error.value.__cause__, InputError)


def test_rows_with_and_without_a_history_of_their_own_go_together(model: mlflow.pyfunc.PyFuncModel) -> None:
    own = {"history_item_ids": ["i1"], "history_ratings": [5.0], "partition_vectors": [],
           "partition_item_ids": [], "partition_ratings": []}  # fmt: skip
    pairs = pd.DataFrame({"user_id": ["u1", "u1"], "item_id": ["i3", "i3"]})
    mixed = pairs.assign(**{name: pd.Series([value, None], dtype=object) for name, value in own.items()})
    alone = [
        model.predict(pairs[:1].assign(**{name: [value] for name, value in own.items()})),
        model.predict(pairs[:1]),
    ]
    found = model.predict(mixed)["probability"].tolist()
    assert found == pytest.approx([frame["probability"].iloc[0] for frame in alone], abs=1e-6)
    assert found[0] != found[1]


def test_no_rows_pass_the_signature(model: mlflow.pyfunc.PyFuncModel) -> None:
    assert len(model.predict(pd.DataFrame({"user_id": pd.Series(dtype=str), "item_id": pd.Series(dtype=str)}))) == 0


@pytest.mark.parametrize("mode", ["champion", "bundle"])
def test_a_consumer_with_the_pinned_requirements_alone_gets_the_same_scores(
    registered: Registered, model: mlflow.pyfunc.PyFuncModel, tmp_path: Path, mode: str
) -> None:
    uri = getattr(registered, mode)
    rows = [{"user_id": user, "item_id": "i3"} for user in ("u1", "u20", "nobody")]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    pinned = Path(mlflow.pyfunc.get_model_dependencies(uri)).read_text().splitlines()
    environment = {"PATH": os.environ["PATH"], "MLFLOW_TRACKING_URI": registered.uri,
                   "PYTHONPATH": str(only(pinned, tmp_path / "site"))}  # fmt: skip
    if mode == "champion":
        environment["LIBER_READER_DATABASE_URL"] = registered.world.url
    done = subprocess.run(
        [sys.executable, "-S", "-c", CONSUMER, uri, "rows.json"],
        cwd=tmp_path, capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert not Path(found["code"]).is_relative_to(ROOT)  # it ran the code it carries
    np.testing.assert_allclose(found["scores"], model.predict(pd.DataFrame(rows))["probability"], atol=1e-6)
    assert {"pydantic_settings", "airflow", "transformers"} & set(found["modules"]) == set()
    assert ("psycopg2" in found["modules"]) == (mode == "champion")


def only(pinned: list[str], folder: Path) -> Path:
    """A folder with nothing but the pinned distributions and what they require, as links."""
    folder.mkdir()
    wanted, seen = [Requirement(line) for line in pinned], set()
    while wanted:
        requirement = wanted.pop()
        if requirement.name.lower() in seen:
            continue
        seen.add(requirement.name.lower())
        try:
            found = metadata.distribution(requirement.name)
        except metadata.PackageNotFoundError:
            continue  # of another platform
        needed = map(Requirement, found.requires or [])
        wanted += [each for each in needed if each.marker is None or each.marker.evaluate({"extra": ""})]
        for part in {file.parts[0] for file in found.files or [] if file.parts[0] != ".."}:
            link = folder / part
            if not link.exists():
                link.symlink_to(Path(str(found.locate_file(part))))
    return folder


def test_every_requirement_is_pinned_to_a_public_version(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registered.uri)
    listed = {}
    for uri in (registered.champion, registered.bundle):
        lines = Path(mlflow.pyfunc.get_model_dependencies(uri)).read_text().splitlines()
        assert all("==" in line and "+" not in line for line in lines)
        listed[uri] = {line.split("==")[0] for line in lines}
    assert listed[registered.champion] - listed[registered.bundle] == {"cachetools", "psycopg2-binary", "SQLAlchemy"}


def test_a_bundle_needs_no_database_and_reads_only_what_is_strictly_earlier(
    registered: Registered, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", registered.uri)
    for name in ("LIBER_READER_DATABASE_URL", "LIBER_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    loaded = mlflow.pyfunc.load_model(registered.bundle)
    bundle = loaded.unwrap_python_model().source
    late = registered.world.samples(registered.world.dataset.rows(TEST)[-1:])
    user, moment = late["user_id"][0], pd.Timestamp(late["time"][0]).to_pydatetime()
    before, now = bundle.users([(user, moment), (user, None)])
    assert before.item.tolist()[1:] == now.item.tolist()[:-1]  # all but the behaviour of that moment
    found = loaded.predict(pd.DataFrame({"user_id": [user, "nobody"], "item_id": ["i3", "new"]}))
    assert found["known_user"].tolist() == found["known_item"].tolist() == [True, False]
    listed = mlflow.artifacts.list_artifacts(f"{registered.bundle}/artifacts/model")
    assert {Path(file.path).suffix for file in listed} == {".npz", ".json", ".safetensors"}


@pytest.fixture(scope="module")
def server(registered: Registered, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`mlflow models serve` of the champion."""
    folder = tmp_path_factory.mktemp("serve")
    url, log = f"http://127.0.0.1:{(port := free_port())}", folder / "log"
    environment = {**os.environ, "MLFLOW_TRACKING_URI": registered.uri, "PYTHONPATH": "",
                   "LIBER_READER_DATABASE_URL": registered.world.url, "OMP_NUM_THREADS": "1"}  # fmt: skip
    command = [sys.executable, "-m", "mlflow", "models", "serve", "-m", registered.champion, "--env-manager", "local",
               "-h", "127.0.0.1", "-p", str(port), "--workers", "1"]  # fmt: skip
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment['PATH']}"
    with log.open("wb") as sink:
        child = subprocess.Popen(command, cwd=folder, env=environment, stdout=sink, stderr=sink, start_new_session=True)
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and child.poll() is None:
            try:
                urllib.request.urlopen(f"{url}/ping", timeout=2).close()
                break
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        else:
            raise RuntimeError(f"mlflow models serve did not start: {log.read_text()[-2000:]}")
        yield url
    finally:
        os.killpg(child.pid, 15)
        child.wait(30)


def post(url: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Status and answer of a scoring request."""
    request = urllib.request.Request(
        f"{url}/invocations", json.dumps(body).encode(), {"content-type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_over_http_rows_are_scored_and_errors_have_their_status(
    registered: Registered, model: mlflow.pyfunc.PyFuncModel, server: str
) -> None:
    moment = {"time": "2024-01-01T00:20:00Z", "context": {"device": "tv"}}
    rows = [
        {"user_id": "u1", "item_id": "i3"},
        {"user_id": "nobody", "item_id": "new"},
        {"user_id": "u1", "item_id": "i3", **moment},
    ]
    status, answer = post(server, {"dataframe_records": rows})
    assert status == 200
    expected = model.predict(pd.DataFrame(rows).astype({"time": object}).where(lambda frame: frame.notna(), None))
    found = pd.DataFrame(answer["predictions"])
    np.testing.assert_allclose(found["probability"], expected["probability"], atol=1e-6)
    assert found["known_item"].tolist() == [True, False, True]
    status, answer = post(server, {"dataframe_split": {"columns": ["user_id", "item_id"], "data": [["u1", "i3"]]}})
    assert (status, round(answer["predictions"][0]["probability"], 5)) == (200, round(found["probability"][0], 5))
    status, answer = post(server, {"dataframe_records": [{"user_id": "u1", "item_id": "i3", "time": "yesterday"}]})
    assert status == 400
    assert "Row 0: time is 'yesterday'" in answer["message"]
    status, _ = post(server, {"dataframe_records": [{"user_id": "u1"}]})
    assert status == 400


def test_candidates_are_scored_best_first_for_known_and_new_users(registered: Registered) -> None:
    for user in ("u1", "nobody"):
        scores = score(registered.world.engine, registered.settings, user, ["i1", "i2", "i3"])
        assert {row["item_id"] for row in scores} == {"i1", "i2", "i3"}
        assert [row["probability"] for row in scores] == sorted((row["probability"] for row in scores), reverse=True)
        assert {row["model_version"] for row in scores} == {"1"}


def test_a_score_as_of_a_moment_knows_nothing_later(registered: Registered) -> None:
    engine, settings = registered.world.engine, registered.settings
    before_all = score(engine, settings, "u1", ["i1"], at=pd.Timestamp("2020-01-01T00:00:00Z").to_pydatetime())
    assert before_all != score(engine, settings, "u1", ["i1"])


def test_what_cannot_be_scored_is_said(registered: Registered) -> None:
    engine, settings = registered.world.engine, registered.settings
    with pytest.raises(InputError, match="'iX'"):
        score(engine, settings, "u1", ["i1", "iX"])
    with pytest.raises(InputError, match="at least one item"):
        score(engine, settings, "u1", [])
    with pytest.raises(InputError, match="no time zone"):
        score(engine, settings, "u1", ["i1"], at=pd.Timestamp("2020-01-01").to_pydatetime())
    with pytest.raises(LiberError, match="liber train"):
        score(engine, settings.model_copy(update={"model_name": "none-yet"}), "u1", ["i1"])
