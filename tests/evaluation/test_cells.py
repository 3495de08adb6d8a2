"""What a trained cell depends on: all of that, and nothing else, is in its fingerprint."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from liber_tasks.errors import InputError
from liber_tasks.evaluation import cells, code
from liber_tasks.evaluation.cells import Outcome, cells_of
from liber_tasks.evaluation.studies import Arm
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.options import Options
from liber_tasks.training.parts import TEST, VALIDATION
from tests.training.data import SMALL

BASE, LIBER, AFFINITY = Arm("base"), Arm("liber", ("pooled",)), Arm("affinity", ("affinity",))
BARE = Arm("bare", basic=())


def _prints(arm: Arm, dataset: Dataset, backbone: str = "din", options: Options = SMALL, seeds: int = 1) -> list[str]:
    return [cell.fingerprint for cell in cells_of(arm, "key", dataset, backbone, seeds, lambda _: options)]


def test_equal_questions_have_one_fingerprint_and_others_have_others(dataset: Dataset) -> None:
    first, second = _prints(BASE, dataset, seeds=2)
    others = [
        second,
        *_prints(LIBER, dataset),
        *_prints(AFFINITY, dataset),
        *_prints(BASE, dataset, backbone="deepfm"),
        *_prints(BASE, dataset, options=replace(SMALL, learning_rate=0.01)),
    ]
    assert len({first, *others}) == 6
    assert _prints(BASE, dataset) == [first]
    assert _prints(replace(BASE, name="base_50"), dataset) == [first]  # figure 1 and table 2 share it


def test_a_model_depends_on_what_it_can_see_and_on_nothing_else(dataset: Dataset) -> None:
    of = {arm.name: _prints(arm, dataset) for arm in (BASE, LIBER, AFFINITY, BARE)}

    def moved(**changes: torch.Tensor) -> set[str]:
        other = replace(dataset, **changes)  # type: ignore[arg-type]
        return {arm.name for arm in (BASE, LIBER, AFFINITY, BARE) if _prints(arm, other) != of[arm.name]}

    dense = dataset.dense.clone()
    dense[0, dataset.dense_names.index("statistics.user_rated")] += 1
    assert moved(dense=dense) == {"base", "liber", "affinity"}  # all but the bare backbone
    dense = dataset.dense.clone()
    dense[0, dataset.dense_names.index("affinity.affinity_liked")] += 1
    assert moved(dense=dense) == {"affinity"}
    assert moved(vectors=2 * dataset.vectors) == {"liber"}
    assert moved(label=1 - dataset.label) == {"base", "liber", "affinity", "bare"}
    assert moved(part=dataset.part.flip(0)) == {"base", "liber", "affinity", "bare"}


def test_changed_code_of_a_model_is_another_question_but_a_comment_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    source = code._source
    before = {name: code.code_digest.__wrapped__(name) for name in ("din", "deepfm")}
    assert before["din"] != before["deepfm"]

    def added(line: str, to: str) -> dict[str, bool]:
        with monkeypatch.context() as patch:
            patch.setattr(code, "_source", lambda module: source(module) + (line if module.endswith(to) else ""))
            return {name: code.code_digest.__wrapped__(name) != digest for name, digest in before.items()}

    assert added("\nX = 1\n", ".fit") == {"din": True, "deepfm": True}
    assert added("\nX = 1\n", ".din") == {"din": True, "deepfm": False}
    assert added("\nX = 1\n", ".layers") == {"din": True, "deepfm": True}  # both import it
    assert added("\n# a comment\n", "") == {"din": False, "deepfm": False}
    assert added('\n\ndef f():\n    """What it does."""\n', ".din") != added(
        '\n\ndef f():\n    """What it does."""\n    return 1\n', ".serving"
    )


def test_an_outcome_survives_being_kept() -> None:
    rng = np.random.default_rng(0)
    curve = np.array([[0.7, 0.6, 0.5], [0.6, 0.65, np.nan]])
    outcome = Outcome(rng.random(5, np.float32), rng.random(3, np.float32), curve, 1, 2.5)
    back = Outcome.from_bytes(outcome.to_bytes())
    for name in ("test", "validation", "curve"):
        np.testing.assert_array_equal(getattr(back, name), getattr(outcome, name))
        assert getattr(back, name).dtype == getattr(outcome, name).dtype
    assert (back.best_epoch, back.seconds) == (1, 2.5)


def test_training_a_cell_twice_gives_the_same_predictions(dataset: Dataset) -> None:
    (cell,) = cells_of(LIBER, "key", dataset, "din", 1, lambda _: SMALL)
    first, second = cells.train(cell, dataset), cells.train(cell, dataset)
    np.testing.assert_array_equal(first.test, second.test)
    assert len(first.test) == len(dataset.rows(TEST))
    assert len(first.validation) == len(dataset.rows(VALIDATION))
    assert len(first.curve) >= first.best_epoch


def test_an_arm_that_reads_vectors_needs_some(dataset: Dataset) -> None:
    bare = replace(dataset, vectors=torch.zeros(0, 0), version=None)
    assert len(_prints(BASE, bare)) == 1
    with pytest.raises(InputError, match="liber encode"):
        _prints(LIBER, bare)
