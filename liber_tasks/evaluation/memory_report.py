"""What `liber evaluate memory` found, as it is printed, written and kept in MLflow."""

from dataclasses import dataclass
from typing import Any

from liber_tasks.evaluation.compare import Lift
from liber_tasks.evaluation.memory_study import Split
from liber_tasks.evaluation.report import Grid, Report, interval


@dataclass(frozen=True)
class GroupLift:
    """A lift over the base among some of the test rows.

    Attributes:
        backbone, variant: of which.
        group: which rows.
        rows, users: how many.
        lift: None: too few rows, or of one class.
    """

    backbone: str
    variant: str
    group: str
    rows: int
    users: int
    lift: Lift | None


@dataclass(frozen=True)
class MemoryReport(Report):
    """The study's result.

    Attributes:
        split: how samples were split.
        item_knowledge: version of the texts about items; None: their attributes alone.
        groups: lifts by length of the history, and by whether training knew the user.
    """

    split: Split = "time"
    item_knowledge: str | None = None
    groups: tuple[GroupLift, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON types; `protocol` is the split's name, `how` what other studies call the protocol."""
        found = super().to_dict()
        return {
            **found, "how": found["protocol"], "versions": found["knowledge"], "protocol": self.split,
            "knowledge": self.item_knowledge,
        }  # fmt: skip

    def further(self) -> list[Grid]:
        """Tables besides those of every study."""
        lines = tuple(
            (each.backbone, each.variant, each.group, f"{each.rows:,}", f"{each.users:,}",
             interval(each.lift.lift, each.lift.low, each.lift.high) if each.lift else "-")
            for each in self.groups
        )  # fmt: skip
        columns = ("backbone", "variant", "rows", "samples", "users", "AUC difference")
        return [Grid("AUC difference to the base, by group of test rows", columns, lines)]
