"""Which registered model serves: the challenger becomes champion only after somebody has said so.

Three aliases of one registered model. Training moves `challenger`. `promote` moves `previous` to where `champion` was,
then `champion`. `rollback` moves `champion` back. Services load `models:/NAME@champion` and reload when it moves.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.training.registry import CHALLENGER, CHAMPION, PREVIOUS, find
from liber_tasks.training.tracking import mlflow_errors

ANY = "any"
DIGEST = "liber.dataset_digest"
ROLLED_BACK = "liber.rolled_back"  # tag of a version that was champion and was found wanting
SHORT = 48  # characters of a value in the comparison


@dataclass(frozen=True)
class Comparison:
    """A version that may be promoted, beside the one that serves."""

    model: str
    version: str
    champion: str | None  # None: nothing serves yet
    tags: Mapping[str, str]  # of the version
    champion_tags: Mapping[str, str]

    def to_dict(self) -> dict[str, Any]:
        """The comparison as JSON types."""
        return {**asdict(self), "text": self.text()}

    def subject(self) -> str:
        """What is asked, in one line."""
        return f"Promote {self.model} version {self.version} to @{CHAMPION}?"

    def text(self) -> str:
        """All tags of both in Markdown: what is measured first, then what it was made from."""
        now = f"version {self.champion}" if self.champion else "nothing"
        lines = [f"**{self.model}**: version {self.version} (@{CHALLENGER}) in place of {now} (@{CHAMPION}).", ""]
        if self.champion and self.tags.get(DIGEST) != self.champion_tags.get(DIGEST):
            lines += ["They were tested on different data: their metrics do not compare.", ""]
        lines += [f"| | {now} | version {self.version} | difference |", "|---|---|---|---|"]
        names = sorted({*self.tags, *self.champion_tags}, key=lambda name: (not self._measured(name), name))
        for name in names:
            before, after = self.champion_tags.get(name, ""), self.tags.get(name, "")
            cells = (name.removeprefix("liber."), _cell(before), _cell(after), _difference(before, after))
            lines.append(f"| {' | '.join(cells)} |")
        lines += [
            "",
            f"Way back: `liber rollback`{'' if self.champion else ' (there is none before a second champion)'}.",
        ]
        return "\n".join(lines)

    def _measured(self, name: str) -> bool:
        """Whether a tag is a number or a number with its interval."""
        value = self.tags.get(name) or self.champion_tags.get(name, "")
        return _number(value.split(" ")[0]) is not None


@dataclass(frozen=True)
class Moved:
    """What `promote` or `rollback` has left."""

    model: str
    champion: str
    previous: str | None  # the version to go back to; None: there is none
    changed: bool  # False: it was so already


def compare(client: MlflowClient, settings: Settings, version: str | None = None) -> Comparison | None:
    """A version beside the champion; None when it is the champion already.

    Args:
        client: of the registry.
        settings: `model_name`, `mlflow_tracking_uri`.
        version: its number; None: the challenger.

    Raises:
        InputError: there is no such version.
        LiberError: there is no challenger yet; says what to do.
        ServiceUnavailable: MLflow does not answer.
    """
    champion = find(client, settings, CHAMPION)
    candidate = _version(client, settings, version) if version else find(client, settings, CHALLENGER)
    if candidate is None:
        raise LiberError(f"MLflow has no model {settings.model_name}@{CHALLENGER} yet: run `liber train`.")
    if champion is not None and str(champion.version) == str(candidate.version):
        return None
    return Comparison(
        settings.model_name,
        str(candidate.version),
        str(champion.version) if champion is not None else None,
        dict(candidate.tags),
        dict(champion.tags) if champion is not None else {},
    )


def promote(client: MlflowClient, settings: Settings, version: str, instead_of: str | None = ANY) -> Moved:
    """Let a version serve. Doing it again changes nothing, also after a stop half-way.

    Args:
        client, settings: as in `compare`.
        version: its number.
        instead_of: the champion it was compared with, None for none yet; if it has changed since, nothing is moved.

    Raises:
        InputError: there is no such version.
        LiberError: the champion is not the one compared with.
        ServiceUnavailable: MLflow does not answer.
    """
    name = settings.model_name
    _version(client, settings, version)
    champion = find(client, settings, CHAMPION)
    serving = str(champion.version) if champion is not None else None
    if serving == version:
        return Moved(name, version, _back(client, settings, version), changed=False)
    if instead_of not in (ANY, serving):
        raise LiberError(
            f"{name}@{CHAMPION} is version {serving or 'none'} now, not {instead_of or 'none'}, with which version "
            f"{version} was compared: compare them again."
        )
    with mlflow_errors(settings.require("mlflow_tracking_uri")):
        if serving is not None:
            client.set_registered_model_alias(name, PREVIOUS, serving)
        client.set_registered_model_alias(name, CHAMPION, version)
    return Moved(name, version, serving, changed=True)


def rollback(client: MlflowClient, settings: Settings) -> Moved:
    """Let the former champion serve again: one move of one alias. A tag tells later comparisons of it.

    Raises:
        LiberError: there is no former champion, or it serves already.
        ServiceUnavailable: MLflow does not answer.
    """
    name, former, champion = settings.model_name, find(client, settings, PREVIOUS), find(client, settings, CHAMPION)
    if former is None or (champion is not None and str(former.version) == str(champion.version)):
        serving = f"version {champion.version} stays" if champion is not None else "nothing serves"
        raise LiberError(
            f"{name} has no former champion to go back to: {serving}. `liber promote --version N` picks one."
        )
    with mlflow_errors(settings.require("mlflow_tracking_uri")):
        client.set_registered_model_alias(name, CHAMPION, str(former.version))
        if champion is not None:
            client.set_model_version_tag(name, str(champion.version), ROLLED_BACK, "yes")
    return Moved(name, str(former.version), None, changed=True)


def _back(client: MlflowClient, settings: Settings, champion: str) -> str | None:
    former = find(client, settings, PREVIOUS)
    return str(former.version) if former is not None and str(former.version) != champion else None


def _version(client: MlflowClient, settings: Settings, version: str) -> Any:
    with mlflow_errors(settings.require("mlflow_tracking_uri")):
        try:
            return client.get_model_version(settings.model_name, version)
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    raise InputError(f"MLflow has no version {version} of the model {settings.model_name}: look at its web UI.")


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _difference(before: str, after: str) -> str:
    old, new = _number(before), _number(after)
    return "" if old is None or new is None else f"{new - old:+.4f}"


def _cell(value: str) -> str:
    """A tag's value on one line, without what Markdown would take for a column."""
    line = " ".join(value.replace("|", "/").split())
    return line if len(line) <= SHORT else f"{line[: SHORT - 3]}..."
