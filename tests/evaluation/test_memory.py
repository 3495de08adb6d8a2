"""`liber evaluate memory`, from the database to its report, against a real MLflow server."""

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.encoder.items import encode_items
from liber_tasks.errors import InputError
from liber_tasks.evaluation import cells, memory
from liber_tasks.evaluation.cells import Cell
from liber_tasks.evaluation.item_sources import texts_of
from liber_tasks.evaluation.memory import run_memory
from liber_tasks.evaluation.memory_report import MemoryReport
from liber_tasks.evaluation.memory_study import ARMS
from liber_tasks.fusion.options import PROFILE, check_options
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.load import load, read
from tests.training.data import EVENTS, SMALL, USERS, fill

VARIANTS = ["base", "pooled", "target_attention", "profile", "profile_lexical", "profile_dense", "words", "genre",
            "title", "shuffled", "random", "affinity", "affinity_profile", "all"]  # fmt: skip


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Labels of the cells that are trained, in order."""
    labels: list[str] = []
    train = cells.train

    def noted(cell: Cell, dataset: Dataset) -> object:
        labels.append(cell.label)
        return train(cell, dataset)

    monkeypatch.setattr(cells, "train", noted)
    return labels


@pytest.fixture
def described(engine: Engine, tracked: Settings) -> Settings:
    """Every other item has a text of version k3, and all are encoded."""
    fill(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.knowledge_version (knowledge_version, model, item_prompt,"
                                " parameters) VALUES ('k3', 'big', 'item/1', '{}')"))  # fmt: skip
        connection.execute(text("INSERT INTO liber.item_knowledge (item_key, knowledge_version, text) SELECT item_key,"
                                " 'k3', 'A film of kind ' || item_key % 3 || ' by director ' || item_key % 5"
                                " FROM liber.item WHERE item_key % 2 = 0"))  # fmt: skip
    encode_items(engine, tracked)
    return tracked


def _run(engine: Engine, settings: Settings, **changes: object) -> MemoryReport:
    given = {"backbones": ("din",), "seeds": 1, "draws": 20, "training": lambda _: SMALL, **changes}
    return run_memory(engine, settings, **given)  # type: ignore[arg-type]


def test_the_whole_table_is_trained_compared_and_kept(
    engine: Engine, described: Settings, trained: list[str], tmp_path: Path
) -> None:
    report = _run(engine, described, knowledge="k3", out=tmp_path)
    assert [arm.name for arm in ARMS] == [row.variant for row in report.rows] == VARIANTS
    assert len(trained) == len(VARIANTS)
    found = json.loads((tmp_path / "memory.json").read_text())
    assert (found["protocol"], found["knowledge"]) == ("time", "k3")
    assert {"backbone", "variant", "auc", "logloss", "lift", "low", "high", "seeds"} <= set(found["rows"][0])
    rows = {row.variant: row for row in report.rows}
    assert rows["base"].lift is None
    assert all(rows[name].lift is not None for name in VARIANTS[1:])
    against = {(each.variant, each.against) for each in report.comparisons}
    assert {("profile", name) for name in ("genre", "title", "shuffled", "random")} <= against
    assert {each.group for each in report.groups} >= {"user known to training", "user unknown to training"}
    assert "1 seeds are too few" in report.verdict[0]
    page = (tmp_path / "memory.md").read_text()
    assert "by group of test rows" in page
    assert "k3" in page

    again = _run(engine, described, knowledge="k3")
    assert len(trained) == len(VARIANTS), "nothing is trained a second time"
    assert [row.auc for row in again.rows] == [row.auc for row in report.rows]


def test_by_users_every_sample_is_tested_once_by_models_that_do_not_know_the_user(
    engine: Engine, described: Settings, trained: list[str]
) -> None:
    report = _run(engine, described, split="users", variants=("genre",))
    assert [row.variant for row in report.rows] == ["base", "genre"]
    assert len(trained) == 2 * memory.FOLDS
    assert (report.protocol.rows_test, report.protocol.users) == (USERS * EVENTS, USERS)
    unknown = {each.rows for each in report.groups if each.group == "user unknown to training"}
    assert unknown == {USERS * EVENTS}


def test_controls_have_the_texts_of_nobody_of_others_or_of_the_attributes(engine: Engine, described: Settings) -> None:
    found = read(engine, described, check_options((PROFILE,)))
    real = texts_of("knowledge", engine, described, found.raw, found.cut)
    made = {name: texts_of(name, engine, described, found.raw, found.cut) for name in ("title", "shuffled", "random")}
    assert real.versions["knowledge_version"] == "k3"
    assert "knowledge_version" not in made["title"].versions
    for kind, vectors in real.vectors.items():
        shuffled, noise = made["shuffled"].vectors[kind], made["random"].vectors[kind]
        np.testing.assert_array_equal(np.sort(shuffled.vector, axis=0), np.sort(vectors.vector, axis=0))
        assert (shuffled.vector != vectors.vector).any(axis=1).mean() > 0.8
        assert noise.vector.shape == vectors.vector.shape
        assert not np.isclose(noise.vector, vectors.vector).any(axis=0).all()


def test_a_history_is_as_long_as_what_lies_strictly_before(engine: Engine, settings: Settings) -> None:
    fill(engine, plays=True)
    dataset = load(engine, settings, max_history=3)
    with engine.connect() as connection:
        expected = connection.execute(text(
            "SELECT (SELECT count(*) FROM liber.behavior AS e WHERE e.user_key = b.user_key"
            " AND e.event_time < b.event_time) FROM liber.behavior AS b WHERE b.kind = 'rating'"
            " ORDER BY user_key, event_time, seq")).scalars().all()  # fmt: skip
    assert memory._lengths(dataset).tolist() == expected


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"variants": ("profil",)}, "There is no variant 'profil': choose of base, pooled"),
        ({"knowledge": "k9"}, "LIBER_ITEM_KNOWLEDGE_VERSION is .k9."),
        ({"backbones": ("dinn",)}, "There is no backbone 'dinn'"),
    ],
)
def test_what_is_not_there_is_said(engine: Engine, described: Settings, changes: dict, said: str) -> None:
    with pytest.raises(InputError, match=said):
        _run(engine, described, **changes)
