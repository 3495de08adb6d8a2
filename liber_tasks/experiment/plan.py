"""How an experiment is read, decided before it starts: metrics, looks, segments. Kept as JSON in liber.experiment."""

from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from liber_tasks.experiment.record import Better, Method, Role

BUILT_IN = {"play_count": "plays", "play_time": "seconds", "time_per_play": "seconds a play", "active_days": "days"}
PRIMARY = ("play_count", "play_time")  # the metrics that decide where a definition names none
MARGIN = 0.01


def _said(text: str) -> str:
    """A text that says something, on one line."""
    words = " ".join(text.split())
    if not words or "\0" in words:
        raise ValueError("write a text")
    return words


def _bare(sql: str) -> str:
    """A statement without the semicolon at its end."""
    bare = sql.strip().removesuffix(";").rstrip()
    if not bare or "\0" in bare:
        raise ValueError("write one SELECT that gives user_id, day and value")
    return bare


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("each may be named once: remove the repetition")
    return names


Words = Annotated[str, AfterValidator(_said), Field(max_length=2_000)]
Name = Annotated[str, AfterValidator(_said), Field(max_length=100)]


class Strict(BaseModel):
    """Base of all parts: what is not a field is refused, and nothing changes afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(Strict):
    """One metric, per user and UTC day."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
    role: Role = "secondary"
    decides: Method | None = None  # which estimate is judged; filled in by the plan: cuped, or raw without pre-period
    margin: Annotated[float, Field(gt=0, lt=1)] | None = None  # of a guardrail: relative harm that is tolerated
    better: Better = "higher"
    unit: Name | None = None
    sql: Annotated[str, AfterValidator(_bare), Field(max_length=20_000)] | None = None  # None: built in

    @model_validator(mode="before")
    @classmethod
    def _filled(cls, read: Any) -> Any:
        if not isinstance(read, dict):
            return read
        known = BUILT_IN.get(str(read.get("name")))
        unit = {} if known is None or read.get("unit") is not None else {"unit": known}
        margin = {"margin": MARGIN} if read.get("role") == "guardrail" and read.get("margin") is None else {}
        return {**read, **unit, **margin}

    @model_validator(mode="after")
    def _agrees(self) -> "Metric":
        if self.margin is not None and self.role != "guardrail":
            raise ValueError(f"metric {self.name!r} has a margin, which only a guardrail has: remove it")
        if self.name in BUILT_IN:
            if self.sql is not None or self.unit != BUILT_IN[self.name]:
                raise ValueError(f"metric {self.name!r} is built in: remove its sql and unit, or name it otherwise")
        elif self.sql is None:
            raise ValueError(
                f"metric {self.name!r} is not built in ({', '.join(BUILT_IN)} are): correct the name or give its sql"
            )
        elif self.unit is None:
            raise ValueError(f"metric {self.name!r} has no unit: say what it counts, as unit: plays")
        return self


class Bots(Strict):
    """A user who exceeds either on any day is taken for a program and left out; null: no bound."""

    plays_per_day: Annotated[int, Field(ge=1)] | None = 1_000
    seconds_per_day: Annotated[float, Field(gt=0)] | None = 86_400


class Models(Strict):
    """Registered models that serve the arms."""

    control: Annotated[str, Field(pattern=r"^models:/.+")]
    treatment: Annotated[str, Field(pattern=r"^models:/.+")]


class Plan(Strict):
    """What of a definition has no column of its own. Of an experiment without a definition: all defaults."""

    pre_days: Annotated[int, Field(ge=0, le=90)] = 7  # of the pre-period, which CUPED adjusts by
    metrics: list[Metric] = Field(default_factory=list)  # empty: the built-in ones
    looks: Literal["daily", "none"] | list[date] = "daily"  # when it is looked at before its end
    minimum_detectable_effect: Annotated[float, Field(gt=0, lt=10)] = 0.02  # relative
    segments: Annotated[list[Name], AfterValidator(_once)] = Field(default_factory=list)
    bots: Bots = Bots()
    models: Models | None = None

    @model_validator(mode="before")
    @classmethod
    def _decided(cls, read: Any) -> Any:
        """Fill in the metrics, and which estimate of each decides."""
        if not isinstance(read, dict):
            return read
        usual = [{"name": name, "role": "primary" if name in PRIMARY else "secondary"} for name in BUILT_IN]
        metrics = usual if read.get("metrics") is None else read["metrics"]
        estimate = "raw" if read.get("pre_days") == 0 else "cuped"
        if isinstance(metrics, list):
            metrics = [{**m, "decides": m.get("decides") or estimate} if isinstance(m, dict) else m for m in metrics]
        return {**read, "metrics": metrics}

    @model_validator(mode="after")
    def _agrees(self) -> "Plan":
        names = [metric.name for metric in self.metrics]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"metric {name!r} is there twice: remove one")
        if not any(metric.role == "primary" for metric in self.metrics):
            raise ValueError("no metric is primary: give at least one of metrics the role primary, before it is read")
        for metric in self.metrics:
            if not self.pre_days and "cuped" in str(metric.decides):
                raise ValueError(f"metric {metric.name!r} decides by {metric.decides}: raise pre_days above 0")
        return self

    @property
    def own(self) -> list[Metric]:
        """The metrics that are SQL of the experiment's own."""
        return [metric for metric in self.metrics if metric.sql]

    @property
    def primary(self) -> list[Metric]:
        """The metrics that decide."""
        return [metric for metric in self.metrics if metric.role == "primary"]
