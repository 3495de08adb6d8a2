import numpy as np
import pytest
from sqlalchemy import Engine

from liber_tasks.binary_copy import EPOCH_2000, copy_columns
from tests.training.data import fill, versions

FIELDS = {"user": ">i8", "partition_no": ">i4", "sealed_at": ">i8", "vector": "vector4"}


def test_columns_come_back_with_their_types_and_values(engine: Engine) -> None:
    fill(engine)
    with engine.connect() as connection:
        columns = copy_columns(
            connection, "training/copy_vectors", FIELDS, {"encoder_version": "e1", "knowledge_version": "k1"}
        )
    assert columns["vector"].dtype == np.float32
    assert columns["vector"].shape == (len(columns["user"]), 4)
    assert columns["partition_no"][:4].tolist() == [1, 2, 3, 4]
    assert (columns["sealed_at"] + EPOCH_2000).min() >= 1_704_067_200_000_000  # 2024-01-01


def test_no_rows_are_empty_columns_and_parameters_are_quoted(engine: Engine) -> None:
    fill(engine)
    versions(engine, "it's %s", ":x")
    with engine.connect() as connection:
        parameters = {"encoder_version": "it's %s", "knowledge_version": ":x"}
        columns = copy_columns(connection, "training/copy_vectors", FIELDS, parameters)
    assert {len(column) for column in columns.values()} == {0}


def test_rows_of_another_width_are_refused(engine: Engine) -> None:
    fill(engine)
    with engine.connect() as connection, pytest.raises(ValueError, match="no whole number of rows"):
        copy_columns(connection, "training/copy_vectors", {**FIELDS, "vector": "vector5"},
                     {"encoder_version": "e1", "knowledge_version": "k1"})  # fmt: skip
