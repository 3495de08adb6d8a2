"""Promises of reproduction for items: the prompt of a stored text comes back byte for byte, whatever changed since."""

import json
from pathlib import Path

import pytest
from mlflow import MlflowClient
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from liber_tasks.behavior.ingest import ingest
from liber_tasks.cli import app
from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.interest import traces
from liber_tasks.interest.items import learn_items
from liber_tasks.interest.reproduce_item import reproduce_item
from tests.behavior.files import write_jsonl
from tests.interest.faults import GOOD, faulty, llamacpp
from tests.services_mlflow import mlflow_url  # noqa: F401

FILMS = ("heat", "alien", "ran")


def state(engine: Engine, settings: Settings, folder: Path, n: int, **more: object) -> None:
    """Every film in its n-th state."""
    films = [{"item_id": film, "title": f"{film} {n}", "year": 1980 + n, "plot": f"plot {n}"} | more for film in FILMS]
    ingest(engine, settings, [write_jsonl(folder / f"{n}.jsonl", films)], kind="items")


def test_every_prompt_that_a_server_got_comes_back_after_its_item_changed(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    with faulty(lambda *_: GOOD) as server:
        live = settings.model_copy(update={"llm_url": server.url})
        for n in range(2):
            state(engine, settings, tmp_path, n)
            learn_items(engine, live, max_calls=2)
        state(engine, settings, tmp_path, 9)
    found = [reproduce_item(engine, film) for film in FILMS[:2]]
    assert sum(one.prompt in server.prompts and "1989" not in one.prompt for one in found) == 2
    assert all(one.text for one in found)


def test_a_prompt_that_left_out_attributes_comes_back(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    state(engine, settings, tmp_path, 0, **{f"attribute {n:02}": "words " * 90 for n in range(25)})

    with faulty(lambda *_: GOOD, other=llamacpp(context=2000, characters=4)) as server:
        live = settings.model_copy(update={"llm_url": server.url, "llm_guided": False})
        assert learn_items(engine, live).shortened == len(FILMS)
    assert {reproduce_item(engine, film).prompt for film in FILMS} == set(server.prompts)


def test_what_is_not_there_or_was_made_elsewhere_is_said(engine: Engine, settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no item 'heat'"):
        reproduce_item(engine, "heat")
    state(engine, settings, tmp_path, 0)
    with pytest.raises(InputError, match="Item 'heat' has no text: run `liber learn --items`"):
        reproduce_item(engine, "heat")
    with faulty(lambda *_: GOOD) as server:
        learn_items(engine, settings.model_copy(update={"llm_url": server.url}))
    with pytest.raises(InputError, match="Item 'heat' has no text of version 'other'"):
        reproduce_item(engine, "heat", knowledge_version="other")
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.item_knowledge SET input_sha256 = repeat('0', 64)"))
    with pytest.raises(LiberError, match="no state of the item that is kept gives its digest 00000000"):
        reproduce_item(engine, "heat")
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.item_knowledge SET attributes_sha256 = NULL"))
    with pytest.raises(LiberError, match="was made elsewhere"):
        reproduce_item(engine, "heat")


def test_the_command_shows_it_and_says_what_is_missing(
    engine: Engine, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state(engine, settings, tmp_path, 0)
    with faulty(lambda *_: GOOD) as server:
        learn_items(engine, settings.model_copy(update={"llm_url": server.url}))
    monkeypatch.setenv("LIBER_DATABASE_URL", settings.require("database_url"))
    shown = CliRunner().invoke(app, ["prompt", "--item", "heat", "--json"])
    assert json.loads(shown.stdout)["prompt"] in server.prompts
    for wrong in (["prompt"], ["prompt", "u1"], ["prompt", "u1", "1", "--item", "heat"]):
        result = CliRunner().invoke(app, wrong)
        assert isinstance(result.exception, InputError)
        assert "USER and PARTITION, or --item ITEM" in str(result.exception)


def test_calls_about_items_leave_traces_where_they_are_wanted(
    engine: Engine,
    settings: Settings,
    tmp_path: Path,
    mlflow_url: str,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(traces, "EXPERIMENT", "liber-interest-items")
    state(engine, settings, tmp_path, 0)
    tracked = settings.model_copy(update={"trace_share": 1.0, "mlflow_tracking_uri": mlflow_url})
    with faulty(lambda *_: GOOD) as server:
        learn_items(engine, tracked.model_copy(update={"llm_url": server.url}), run_id="r1")
    client = MlflowClient(tracking_uri=mlflow_url)
    (experiment,) = client.search_experiments(filter_string="name = 'liber-interest-items'")
    found = client.search_traces(locations=[experiment.experiment_id], filter_string="tags.`liber.run_id` = 'r1'")
    assert sorted(trace.info.tags["liber.item_id"] for trace in found) == sorted(FILMS)
    assert {trace.data.spans[0].inputs["prompt"] for trace in found} == set(server.prompts)
