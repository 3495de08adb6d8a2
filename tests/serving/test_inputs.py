import math

import pandas as pd
import pytest
import torch

from liber_tasks.backbones.vocabulary import DISLIKED, LIKED, UNRATED
from liber_tasks.errors import InputError
from liber_tasks.serving.inputs import COLUMNS, encode, example
from tests.backbones.batches import VECTOR, config, vocabulary


def _frame(**changes: object) -> pd.DataFrame:
    row = {"user_id": "u1", "item_id": "i2", "age": 30.0, "gender": "M", "occupation": "student",
           "genres": ["g1", "g3"], "year": 5.0,
           "history_item_ids": ["i1", "new", "i1"], "history_ratings": [5.0, math.nan, 1.0],
           "partition_vectors": [[1.0] * VECTOR, [2.0] * VECTOR]}  # fmt: skip
    return pd.DataFrame([row | changes])


def test_a_row_becomes_the_indexes_of_the_vocabulary() -> None:
    batch = encode(_frame(), vocabulary(), config())
    assert batch.user.tolist() == [[1, 3, 2, 2]]
    assert batch.item.tolist() == [[2, 1]]
    assert batch.genres.tolist() == [[0, 0.5, 0, 0.5]]
    assert batch.entry_item[batch.history[0]].tolist() == [1, 0, 1]
    assert batch.entry_sign[batch.history[0]].tolist() == [LIKED, UNRATED, DISLIKED]
    assert batch.memory[0, :, 0].tolist() == [1, 2]


def test_only_the_latest_behaviours_and_partitions_are_read() -> None:
    many = _frame(history_item_ids=[f"i{n}" for n in range(1, 8)], history_ratings=[5.0] * 7,
                  partition_vectors=[[float(n)] * VECTOR for n in range(5)])  # fmt: skip
    batch = encode(many, vocabulary(), config())
    assert batch.entry_item[batch.history[0]].tolist() == [3, 4, 5, 6, 7]
    assert batch.memory[0, :, 0].tolist() == [2, 3, 4]


def test_optional_columns_and_values_may_be_missing() -> None:
    full = _frame(age=None, gender=None, occupation=None, genres=None, year=None)
    bare = full[[column.name for column in COLUMNS if column.required]]
    for frame in (full, bare):
        batch = encode(frame, vocabulary(), config())
        assert batch.user.tolist() == [[1, 0, 0, 0]]
        assert batch.item.tolist() == [[2, 0]]
        assert batch.genres.eq(0).all()


def test_rows_of_different_lengths_are_aligned_at_their_end() -> None:
    frame = pd.concat([_frame(), _frame(history_item_ids=["i3"], history_ratings=[4.0], partition_vectors=[])])
    batch = encode(frame, vocabulary(), config())
    assert batch.history_mask.tolist() == [[True, True, True], [False, False, True]]
    assert batch.entry_item[batch.history[1, -1]] == 3
    assert batch.memory_mask.tolist() == [[True, True], [False, False]]


def test_a_model_without_memory_reads_no_vectors() -> None:
    assert encode(_frame(), vocabulary(), config("none")).memory.shape == (1, 0, 0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"history_ratings": [5.0]}, "Row 0: history_item_ids has 3 values, history_ratings 1"),
        ({"partition_vectors": [[1.0]]}, "Row 0: partition_vectors holds a vector of 1 numbers, the model reads 6"),
    ],
)
def test_lists_that_do_not_fit_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        encode(_frame(**changes), vocabulary(), config())


def test_a_missing_column_is_named() -> None:
    with pytest.raises(InputError, match="history_ratings"):
        encode(_frame().drop(columns="history_ratings"), vocabulary(), config())


def test_the_example_is_a_valid_input() -> None:
    batch = encode(example(vocabulary(), config()), vocabulary(), config())
    assert len(batch) == 2
    assert torch.isfinite(batch.memory).all()
