"""Which registered models were trained on an erased user's data: asked of a real MLflow."""

import json
from pathlib import Path

import mlflow
import pytest
from mlflow import MlflowClient

from liber_tasks.behavior.erase_models import ModelsHolding, models_holding
from liber_tasks.config import Settings
from tests.services_mlflow import mlflow_url  # noqa: F401

MODEL = """
import mlflow

class Nothing(mlflow.pyfunc.PythonModel):
    def predict(self, context, model_input: list[str]) -> list[str]:
        return model_input

mlflow.models.set_model(Nothing())
"""


@pytest.fixture
def tracked(settings: Settings, mlflow_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Settings:  # noqa: F811
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.chdir(tmp_path)  # where a client that asks nobody makes a database of its own
    return settings.model_copy(update={"mlflow_tracking_uri": mlflow_url, "model_name": "erasable"})


def register(url: str, folder: Path, name: str, content: str) -> None:
    """A version of the model with a vocabulary, laid out as training lays it out."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MLFLOW_TRACKING_URI", url)
        environment.setenv("MLFLOW_REGISTRY_URI", url)
        _register(folder, name, content)


def _register(folder: Path, name: str, content: str) -> None:
    (folder / "model").mkdir(parents=True, exist_ok=True)
    (folder / "model" / "vocabulary.json").write_text(content)
    (folder / "code.py").write_text(MODEL)
    mlflow.pyfunc.log_model(name="m", python_model=str(folder / "code.py"), registered_model_name=name,
                            artifacts={"model": str(folder / "model")}, pip_requirements=["mlflow"])  # fmt: skip


def test_the_versions_that_know_the_user_are_named_newest_first(tracked: Settings, tmp_path: Path) -> None:
    url = tracked.require("mlflow_tracking_uri")
    for number, users in enumerate((["ann", "ben"], ["ben"], ["ann"])):
        register(url, tmp_path / str(number), "erasable", json.dumps({"users": dict.fromkeys(users, 1)}))
    register(url, tmp_path / "broken", "erasable", "{}")
    register(url, tmp_path / "other", "another", json.dumps({"users": {"ann": 1}}))
    found = models_holding(tracked, ["ann"])
    assert (found.checked, found.reason, found.versions, found.unread) == (True, None, ("3", "1"), ("4",))
    assert "version 3, 1 of erasable" in (found.advice or "")
    assert models_holding(tracked, ["ann", "ben"]).versions == ("3", "2", "1")
    assert (models_holding(tracked, ["an"]).versions, models_holding(tracked, ["an"]).advice) == ((), None)
    assert not list(tmp_path.glob("*.db"))


def test_a_version_that_carries_features_knows_whose_they_are(tracked: Settings, tmp_path: Path) -> None:
    url, carries = tracked.require("mlflow_tracking_uri"), tracked.model_copy(update={"model_name": "carries"})
    for number in (1, 2):
        (tmp_path / str(number) / "model").mkdir(parents=True)
        (tmp_path / str(number) / "model" / "users.json").write_text('["ann", "late"]')
        register(url, tmp_path / str(number), "carries", '{"users": {"ann": 1}}')
    MlflowClient(url, url).set_model_version_tag("carries", "2", "liber.features", "bundle")
    found = models_holding(carries, ["late"])
    assert (found.checked, found.versions, found.unread) == (True, ("2",), ())
    assert models_holding(carries, ["ann"]).versions == ("2", "1")


def test_without_mlflow_it_says_that_nobody_looked(settings: Settings) -> None:
    assert models_holding(settings, ["ann"]) == ModelsHolding(False, "MLFLOW_TRACKING_URI is not set")
    away = settings.model_copy(update={"mlflow_tracking_uri": "http://127.0.0.1:9"})
    assert models_holding(away, ["ann"]) == ModelsHolding(False, "MLflow does not answer at http://127.0.0.1:9")
