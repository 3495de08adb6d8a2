"""By default a prompt is nowhere after a run: not in the database, not in MLflow's database or files."""

from pathlib import Path

import pytest
from sqlalchemy import Engine

from liber_tasks.config import Settings
from liber_tasks.interest.learn import learn
from tests.behavior.erasing import places
from tests.interest.data import add_user
from tests.interest.faults import GOOD, faulty
from tests.services_mlflow import mlflow_url  # noqa: F401

TITLE, OTHER = "Wunderlampe-8f3a", "Eisenbahn-55c1"


def kept_by_mlflow(folder: Path, words: str) -> bool:
    """Whether any file of the server has it: its database and write-ahead log, artifacts, log."""
    files = [file for folder in folder.glob("mlflow*") for file in folder.rglob("*") if file.is_file()]
    assert any(file.name == "mlflow.db" for file in files)
    return any(words.encode() in file.read_bytes() for file in files)


def test_a_title_from_a_prompt_is_in_the_catalogue_alone(
    engine: Engine,
    settings: Settings,
    mlflow_url: str,  # noqa: F811
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    server = tmp_path_factory.getbasetemp()
    add_user(engine, "a", 2, titles=(TITLE,))
    with faulty(lambda *_: GOOD) as seen:
        here = settings.model_copy(update={"llm_url": seen.url, "mlflow_tracking_uri": mlflow_url})
        learn(engine, here, users=["a"])
        assert any(TITLE in prompt for prompt in seen.prompts)
        assert places(engine, TITLE) == ["liber.item.item_id", "liber.item.title"]
        assert not kept_by_mlflow(server, TITLE)

        add_user(engine, "b", 1, titles=(OTHER,))
        learn(engine, here.model_copy(update={"trace_share": 1.0}), users=["b"])
    assert kept_by_mlflow(server, OTHER), "the search finds what is there"
