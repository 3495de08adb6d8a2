"""The result of a comparison, as it is returned, printed and kept in MLflow."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from liber_tasks.training.evaluate import Difference, Spread
from liber_tasks.training.significance import Interval

_DIFFERENCES = ("auc_difference", "log_loss_difference", "auc_difference_with_vector")


@dataclass(frozen=True)
class Variant:
    """One memory variant over all seeds, on the test rows."""

    auc: Spread
    log_loss: Spread
    epochs: tuple[int, ...]  # kept epoch of each seed
    seconds: tuple[float, ...]  # training time of each seed


@dataclass(frozen=True)
class TrainReport:
    """A comparison of memory variants on the same samples with paired seeds."""

    backbone: str
    options: tuple[str, ...]  # what "liber" reads, names in fusion.options
    training: Mapping[str, Any]  # hyperparameters, of both
    cut: str  # ISO 8601: test rows are at or after it
    rows_train: int  # all rows before the cut: those that fit and those that validate
    rows_validation: int
    rows_test: int
    train_rows_with_vector: int
    test_rows_with_vector: int
    test_users: int
    seeds: int
    variants: Mapping[str, Variant]  # by memory: none, liber
    auc_difference: Difference | None  # liber - none; None unless both were trained
    auc_interval: Interval | None  # of the same over draws of test users
    log_loss_difference: Difference | None
    auc_difference_with_vector: Difference | None  # on test rows with a vector; None when they are too few
    encoder_version: str | None  # None: no partition vector was read
    knowledge_version: str | None
    item_versions: dict[str, str]  # of the items' texts and their encoders; empty: not read
    digest: str
    fingerprint: str  # of digest, backbone, options and hyperparameters
    experiment_id: str
    run_id: str
    model_name: str | None = None  # None: nothing was registered
    model_version: str | None = None
    model_alias: str | None = None
    model_seed: int | None = None  # chosen by validation log loss
    reused: bool = False  # an earlier comparison of the same data and options

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON types."""
        return {**asdict(self), "auc_interval": self.auc_interval._asdict() if self.auc_interval else None}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "TrainReport":
        """Read what `to_dict` wrote.

        Raises:
            KeyError, TypeError: another version of this code wrote it.
        """
        variants = {
            name: Variant(
                _spread(part["auc"]), _spread(part["log_loss"]), tuple(part["epochs"]), tuple(part["seconds"])
            )
            for name, part in values["variants"].items()
        }
        differences = {
            name: Difference(**{**part, "values": tuple(part["values"])}) if (part := values[name]) else None
            for name in _DIFFERENCES
        }
        interval = Interval(**values["auc_interval"]) if values["auc_interval"] else None
        own = {"options": tuple(values["options"]), "variants": variants, "auc_interval": interval}
        return cls(**{**values, **own, **differences})


def _spread(part: Mapping[str, Any]) -> Spread:
    return Spread(**{**part, "values": tuple(part["values"])})
