"""The definition of an experiment: what is fixed before it starts, as its author writes it (YAML or options)."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from liber_tasks.errors import InputError
from liber_tasks.experiment.assign import BUCKETS, Assignment
from liber_tasks.experiment.plan import Bots, Metric, Models, Name, Plan, Strict, Words

_ADVICE = {
    "missing": "it is missing, write it",
    "extra_forbidden": "there is no such field",
    "list_type": "write a list",
    "dict_type": "write fields and their values",
    "model_type": "write fields and their values",
}


def _moment(value: Any) -> datetime:
    """A date (its midnight, UTC) or a moment with zone, in UTC."""
    if isinstance(value, str):
        try:
            value = date.fromisoformat(value) if len(value) == 10 else datetime.fromisoformat(value)
        except ValueError:
            value = None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"{value.isoformat()} has no zone: write {value.isoformat()}Z")
        return value.astimezone(UTC)
    if isinstance(value, date):
        return datetime.combine(value, time(), UTC)
    raise ValueError("write a date, as 2026-03-02, or a moment with zone, as 2026-03-02T12:00:00Z")


def _four_digits(share: float) -> float:
    if round(share, 4) != share:
        raise ValueError(f"{share} is finer than 1/{BUCKETS}: write {round(share, 4)}")
    return share


def _salt(text: str) -> str:
    if "/" in text:
        raise ValueError("it holds '/', which only salts of layers and traffic do: write a name without")
    return text


Moment = Annotated[datetime, BeforeValidator(_moment)]
Share = Annotated[float, Field(gt=0, le=1), AfterValidator(_four_digits)]
Salt = Annotated[Name, AfterValidator(_salt)]
Bucket = Annotated[int, Field(ge=0, le=BUCKETS)]


class Arms(Strict):
    """Shares of the users let in, fixed for good; who is in neither arm stays outside."""

    control: Share = 0.5
    treatment: Share = 0.5


class Definition(Plan):
    """All of an experiment that its author decides. Times are UTC, the end is exclusive."""

    name: Name
    hypothesis: Words
    salt: Salt
    layer: Salt | None = None
    slot: tuple[Bucket, Bucket] | None = None  # first bucket of the layer, and first that is not in it; None: all
    traffic: Share = 1.0  # share of the slot, or of all users, that is let in
    arms: Arms = Arms()
    starts_at: Moment
    ends_at: Moment

    @model_validator(mode="before")
    @classmethod
    def _salted(cls, read: Any) -> Any:
        if isinstance(read, dict) and read.get("salt") is None and "name" in read:
            return {**read, "salt": read["name"]}
        return read

    @model_validator(mode="after")
    def _fits(self) -> "Definition":
        if self.ends_at <= self.starts_at:
            raise ValueError(f"ends_at is {self.ends_at.isoformat()}, which is not after starts_at: move it")
        if self.arms.control + self.arms.treatment > 1 + 1e-9:
            raise ValueError("arms are more than all users: lower control or treatment until their sum is 1 at most")
        if self.slot is not None and self.layer is None:
            raise ValueError("slot is of a layer, and layer is missing: name it or remove slot")
        if self.slot is not None and self.slot[0] >= self.slot[1]:
            raise ValueError(f"slot {list(self.slot)} is empty: write first and end, as [0, 5000]")
        if not self.assignment.admitted:
            raise ValueError(f"traffic {self.traffic} is less than one bucket of the slot: raise traffic or widen slot")
        if isinstance(self.looks, list):
            for day in self.looks:
                if not self.starts_at.date() < day <= self.ends_at.date():
                    raise ValueError(f"looks name {day}, which is not in the experiment: remove it")
            if sorted(set(self.looks)) != self.looks:
                raise ValueError("looks are not in order of time, each once: sort them")
        return self

    @property
    def assignment(self) -> Assignment:
        """What decides who is in it."""
        slot = self.slot or (0, BUCKETS)
        return Assignment(self.salt, self.arms.control, self.arms.treatment, self.layer, slot, self.traffic)

    @property
    def plan(self) -> Plan:
        """How it is read."""
        return Plan.model_validate(self.model_dump(include=set(Plan.model_fields)))


def parse(read: Mapping[str, Any], what: str = "The definition") -> Definition:
    """A definition from its fields.

    Args:
        read: fields by name, as YAML or JSON gives them.
        what: begins the message, such as the file's name.

    Raises:
        InputError: says which field is wrong and what to do.
    """
    try:
        return Definition.model_validate(dict(read))
    except ValidationError as error:
        raise InputError(f"{what}: {_sentence(error)}.") from None


def read_file(path: str | Path) -> dict[str, Any]:
    """Fields of a YAML file; not yet checked.

    Raises:
        InputError: it cannot be read, is not YAML, names a field twice or has no fields.
    """
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML in which a field named twice is an error."""

        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            for key in keys:
                if keys.count(key) > 1:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"{key} is named twice, remove one", node.start_mark
                    )
            return super().construct_mapping(node, deep)

    try:
        read = yaml.load(Path(path).read_text(encoding="utf-8"), Loader)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}. Give the path of a YAML file.") from None
    except UnicodeDecodeError:
        raise InputError(f"{path} is not UTF-8: save it as UTF-8.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise InputError(f"{path}{line}: this is not YAML: {getattr(error, 'problem', error)}.") from None
    if not isinstance(read, dict):
        raise InputError(f"{path}: write fields and their values, such as name: my-test.")
    return {str(key): value for key, value in read.items()}


def _sentence(error: ValidationError) -> str:
    first = error.errors()[0]
    place = [part for part in first["loc"] if not str(part).startswith(("function-", "literal[", "list["))]
    path = " ".join(f"{part + 1}" if isinstance(part, int) else str(part) for part in place)
    kind = first["type"]
    if path == "looks":
        said = f"it is {first['input']!r}: write daily, none or a list of dates"
    elif kind == "value_error":
        said = first["msg"].removeprefix("Value error, ")
    elif kind in _ADVICE:
        said = _ADVICE[kind]
    else:
        said = f"it is {first['input']!r}; {first['msg'][:1].lower()}{first['msg'][1:]}"
    if kind == "extra_forbidden":
        near = get_close_matches(str(place[-1]), _fields(place[:-1]), 1)
        said += f", did you mean {near[0]}?" if near else f": remove it; there are {', '.join(_fields(place[:-1]))}"
        said = said.removesuffix("?")
    return f"{path}: {said}" if path else said


def _fields(place: list[Any]) -> list[str]:
    """Names of the fields that there are at a place."""
    models: dict[str, type[Strict]] = {"arms": Arms, "bots": Bots, "models": Models, "metrics": Metric}
    return list((models[place[0]] if place else Definition).model_fields)
