"""Promises of the partition rule."""

import pytest

from liber_tasks.errors import InputError
from liber_tasks.partition.rules import PartitionRule


def test_the_papers_k_is_the_default() -> None:
    assert PartitionRule().k == 20


@pytest.mark.parametrize(
    ("k", "bound"),
    [(0, "from 1"), (-3, "from 1"), (2**31, "2147483647"), (2.5, "whole"), (True, "whole"), ("20", "whole")],
)
def test_an_impossible_k_is_refused_by_name_and_bound(k: object, bound: str) -> None:
    with pytest.raises(InputError, match=rf"k == .*{bound}"):
        PartitionRule(k)  # type: ignore[arg-type]
