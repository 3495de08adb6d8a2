"""What a readout says: the record stored in liber.readout, as frozen dataclasses."""

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """One metric by one estimator. Where a number cannot be given it is None and `reason` says why."""

    control: float | None = None  # mean of the arm, in the metric's unit
    treatment: float | None = None
    lift: float | None = None  # treatment / control - 1
    lift_low: float | None = None  # 95 % confidence interval of the lift
    lift_high: float | None = None
    p_value: float | None = None  # two-sided
    mde: float | None = None  # smallest relative lift found with 80 % power; given where no difference was shown
    reason: str | None = None


@dataclass(frozen=True)
class Metric:
    """A metric, raw and adjusted by the same user's pre-period (CUPED)."""

    name: str
    unit: str
    raw: Estimate
    cuped: Estimate

    @property
    def best(self) -> Estimate:
        """The estimate to decide by: CUPED where there is one (it is at least as precise), else raw."""
        return self.raw if self.cuped.lift is None else self.cuped


@dataclass(frozen=True)
class SampleRatio:
    """Did the arms get the users they should have? If not, whatever broke that may also make the lift."""

    expected_treatment: float  # share of exposed users that should be treated
    observed_treatment: float
    statistic: float  # chi-square, 1 degree of freedom
    p_value: float
    threshold: float  # a smaller p hides the lifts

    @property
    def ok(self) -> bool:
        """False: a mismatch; the lifts are hidden."""
        return self.p_value >= self.threshold


@dataclass(frozen=True)
class Quality:
    """Exposures that do not look as they should."""

    wrong_arm: int  # users whose logged arm is not the one their bucket gives; they are counted in the logged arm
    exposed_outside: int  # exposures outside the experiment's time; left out


@dataclass(frozen=True)
class Readout:
    """An immutable readout. Times are ISO 8601, UTC."""

    experiment: str
    hypothesis: str
    simulated: bool
    planted: dict[str, float] | None  # true relative lift by metric, known of a simulation only
    starts_at: str
    ends_at: str
    watermark: str
    complete: bool  # False: the experiment still runs; these intervals hold for one look at its end
    users: dict[str, int]  # exposed users by arm, with and without plays
    sample_ratio: SampleRatio
    quality: Quality
    metrics: dict[str, Metric]
    method: dict[str, Any]  # formulas, libraries, SQL files
    input_sha256: str  # of the definition and of the rows read
    created: bool = field(default=False, compare=False)  # False: the record was there before

    def to_dict(self) -> dict[str, Any]:
        """The record as stored: plain values for JSON, without `created`."""
        record = asdict(self)
        del record["created"]
        record["sample_ratio"]["ok"] = self.sample_ratio.ok
        return record


def from_dict(record: dict[str, Any], created: bool = False) -> Readout:
    """The readout behind a stored record (inverse of `Readout.to_dict`)."""
    ratio = {key: value for key, value in record["sample_ratio"].items() if key != "ok"}
    metrics = {
        name: Metric(metric["name"], metric["unit"], Estimate(**metric["raw"]), Estimate(**metric["cuped"]))
        for name, metric in record["metrics"].items()
    }
    rest = {key: value for key, value in record.items() if key not in ("sample_ratio", "quality", "metrics")}
    return Readout(
        **rest,
        sample_ratio=SampleRatio(**ratio),
        quality=Quality(**record["quality"]),
        metrics=metrics,
        created=created,
    )
