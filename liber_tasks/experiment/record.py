"""What a readout says: the record stored in liber.readout, as frozen dataclasses."""

from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

METHODS = ("raw", "cuped", "capped", "capped_cuped")
Method = Literal["raw", "cuped", "capped", "capped_cuped"]
Role = Literal["primary", "guardrail", "secondary"]
Better = Literal["higher", "lower"]


@dataclass(frozen=True)
class Estimate:
    """One metric by one method. Where a number cannot be given it is None and `reason` says why."""

    control: float | None = None  # mean of the arm, in the metric's unit
    treatment: float | None = None
    lift: float | None = None  # treatment / control - 1
    lift_low: float | None = None  # 95 % confidence interval of the lift
    lift_high: float | None = None
    p_value: float | None = None  # two-sided
    mde: float | None = None  # smallest relative lift found with 80 % power; given where no difference was shown
    reason: str | None = None


@dataclass(frozen=True)
class Look:
    """What the days before one said, by the deciding method. Bounds are None where nothing can be said."""

    until: str  # ISO date, the first day that was not read
    planned: bool
    control: int  # users
    treatment: int
    lift: float | None
    planned_low: float | None  # band that holds at all planned looks together, 95 %; None at another look
    planned_high: float | None
    anytime_low: float | None  # confidence sequence: holds at all looks together, however many, 95 %
    anytime_high: float | None


@dataclass(frozen=True)
class Segment:
    """Some of the users, by the deciding method."""

    dimension: str
    value: str
    control: int  # users
    treatment: int
    estimate: Estimate
    p_adjusted: float | None  # Benjamini and Hochberg, over all segments of all primary metrics


@dataclass(frozen=True)
class Interaction:
    """Do the lifts of a dimension's values differ? Cochran's Q."""

    dimension: str
    statistic: float | None
    degrees: int | None
    p_value: float | None
    reason: str | None = None


@dataclass(frozen=True)
class Age:
    """Raw lift of the n-th day since exposure."""

    day: int  # 0: the day of the first exposure
    control: int  # users who have come that far
    treatment: int
    lift: float | None
    lift_low: float | None  # 95 %
    lift_high: float | None


@dataclass(frozen=True)
class Novelty:
    """Does the lift change with the days since exposure?"""

    ages: list[Age] = field(default_factory=list)
    slope: float | None = None  # of the log ratio, a day
    p_value: float | None = None  # of the slope
    reason: str | None = None


@dataclass(frozen=True)
class Guardrail:
    """Non-inferiority: the metric may lose no more than the margin."""

    margin: float  # relative
    verdict: Literal["non-inferior", "inferior", "undecided"] | None
    reason: str | None = None


@dataclass(frozen=True)
class Distribution:
    """Users by value of the metric: the first bin holds the zeros, the others are even in the logarithm."""

    edges: list[float]  # upper ends of all bins but the first, which is 0
    control: list[int]
    treatment: list[int]


@dataclass(frozen=True)
class Metric:
    """A metric by each method: raw or adjusted by the same user's pre-period (CUPED), plain or capped."""

    name: str
    unit: str
    estimates: dict[str, Estimate]  # by `METHODS`
    role: Role = "primary"
    better: Better = "higher"
    decides: Method = "cuped"  # fixed with the definition
    cap: float | None = None  # a user's value counts as this at most, where capped; None: nothing to cap
    guardrail: Guardrail | None = None
    looks: list[Look] = field(default_factory=list)
    segments: list[Segment] = field(default_factory=list)
    interactions: list[Interaction] = field(default_factory=list)
    novelty: Novelty | None = None
    distribution: Distribution | None = None
    formula: str = ""  # of a user's value

    @property
    def raw(self) -> Estimate:
        """Neither adjusted nor capped."""
        return self.estimates["raw"]

    @property
    def cuped(self) -> Estimate:
        """Adjusted, not capped."""
        return self.estimates["cuped"]

    @property
    def best(self) -> Estimate:
        """The estimate to decide by: the one fixed in advance; the same unadjusted where that has no pre-period."""
        return self.estimates[deciding(self.decides, {name: one.lift for name, one in self.estimates.items()})]


def deciding(decides: str, lifts: dict[str, float | None]) -> str:
    """The method to decide by, given each method's lift: an adjusted one that has none gives way to the unadjusted."""
    plain = {"cuped": "raw", "capped_cuped": "capped"}
    return plain[decides] if lifts.get(decides) is None and decides in plain else decides


@dataclass(frozen=True)
class SampleRatio:
    """Did the arms get the users they should have? If not, whatever broke that may also make the lift."""

    expected_treatment: float  # share of exposed users that should be treated
    observed_treatment: float
    statistic: float  # chi-square, 1 degree of freedom
    p_value: float
    threshold: float  # a smaller p hides the lifts
    causes: list[str] = field(default_factory=list)  # of a mismatch, likely ones first

    @property
    def ok(self) -> bool:
        """False: a mismatch; the lifts are hidden."""
        return self.p_value >= self.threshold


@dataclass(frozen=True)
class Quality:
    """Exposures and users that do not look as they should."""

    wrong_arm: int  # users whose logged arm is not the one their bucket gives; they are counted in the logged arm
    exposed_outside: int  # exposures outside the experiment's time; left out
    crossed: int = 0  # users served both arms; left out
    bots: dict[str, int] = field(default_factory=dict)  # by arm, users beyond the experiment's rule; left out
    without_pre_period: dict[str, int] = field(default_factory=dict)  # by arm; CUPED takes their pre-period as 0
    without_play: dict[str, int] = field(default_factory=dict)  # by arm, counted with 0


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
    users: dict[str, int]  # exposed users by arm that are counted, with and without plays
    sample_ratio: SampleRatio
    quality: Quality
    metrics: dict[str, Metric]
    method: dict[str, Any]  # formulas, libraries, SQL files
    input_sha256: str  # of the definition and of the rows read
    models: dict[str, str] = field(default_factory=dict)  # registry address of the model that served an arm
    created: bool = field(default=False, compare=False)  # False: the record was there before

    def to_dict(self) -> dict[str, Any]:
        """The record as stored: plain values for JSON, without `created`."""
        record = asdict(self)
        del record["created"]
        record["sample_ratio"]["ok"] = self.sample_ratio.ok
        return record


def from_dict(record: dict[str, Any], created: bool = False) -> Readout:
    """The readout behind a stored record (inverse of `Readout.to_dict`); one of an older method is read as it was."""
    metrics = {name: _metric(metric) for name, metric in record["metrics"].items()}
    rest = {
        name: record[name]
        for name in (each.name for each in fields(Readout))
        if name in record and name not in ("sample_ratio", "quality", "metrics")
    }
    ratio = {key: value for key, value in record["sample_ratio"].items() if key != "ok"}
    return Readout(
        **rest,
        sample_ratio=SampleRatio(**ratio),
        quality=Quality(**record["quality"]),
        metrics=metrics,
        created=created,
    )


_OF = {"looks": Look, "segments": Segment, "interactions": Interaction}


def _metric(stored: dict[str, Any]) -> Metric:
    values = dict(stored)
    if "estimates" not in values:  # method 1 knew two
        values["estimates"] = {name: values.pop(name) for name in ("raw", "cuped")}
    values["estimates"] = {name: Estimate(**one) for name, one in values["estimates"].items()}
    for name, of in _OF.items():
        values[name] = [of(**_nested(one)) for one in values.get(name, [])]
    if values.get("novelty"):
        novelty = dict(values["novelty"])
        values["novelty"] = Novelty(**novelty | {"ages": [Age(**one) for one in novelty["ages"]]})
    for name, of in {"guardrail": Guardrail, "distribution": Distribution}.items():
        values[name] = of(**values[name]) if values.get(name) else None
    return Metric(**values)


def _nested(one: dict[str, Any]) -> dict[str, Any]:
    return one | {"estimate": Estimate(**one["estimate"])} if "estimate" in one else one
