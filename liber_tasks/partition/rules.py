"""When the short-term behaviour cache becomes a partition (paper, section 3.2)."""

from dataclasses import dataclass

from liber_tasks.errors import InputError


@dataclass(frozen=True)
class PartitionRule:
    """Partition condition: Len(cache) >= k, the closing behaviour inside (paper, Eq. 1).

    Raises:
        InputError: a parameter is out of bounds; names it, its value and the bound.
    """

    k: int = 20  # the paper's K (section 4.1.3)

    def __post_init__(self) -> None:
        if isinstance(self.k, bool) or not isinstance(self.k, int):
            raise InputError(f"k == {self.k!r}, must be a whole number.")
        if not 1 <= self.k <= 2**31 - 1:
            raise InputError(f"k == {self.k}, must be from 1 to {2**31 - 1}.")
