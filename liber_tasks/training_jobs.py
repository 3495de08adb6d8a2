"""What the tasks of `train_ctr` and the command `liber train` share. Knows the stages, not Airflow."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from liber_tasks import learning
from liber_tasks.config import Settings
from liber_tasks.errors import InputError
from liber_tasks.fusion.options import FUSED, READ_TEXT, check_options
from liber_tasks.types import Progress, silent

if TYPE_CHECKING:
    from liber_tasks.training.plan import Memory
    from liber_tasks.training.report import TrainReport

BOTH: "tuple[Memory, ...]" = ("none", "liber")


def options_of(settings: Settings) -> tuple[str, ...]:
    """What the model with memory reads by the settings.

    Raises:
        InputError: LIBER_MODEL_OPTIONS has a name that is none.
    """
    names = [name.strip() for name in settings.model_options.split(",") if name.strip()]
    try:
        return check_options(names)
    except InputError as error:
        raise InputError(f"LIBER_MODEL_OPTIONS is {settings.model_options!r}. {error}") from None


def train(
    settings: Settings,
    *,
    memory: "Sequence[Memory]" = BOTH,
    options: Sequence[str] | None = None,
    changes: Mapping[str, Any] | None = None,
    bundle: bool = False,
    checkpoints: Path | None = None,
    run_labels: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> "TrainReport":
    """Compare the backbone of the settings without and with memory; see `training.train.train`.

    Args:
        settings: `backbone`, `seeds`, and what that needs.
        memory, bundle, checkpoints, run_labels, progress: as there.
        options: None: those of the settings.
        changes: hyperparameters that differ from the backbone's own.
    """
    from liber_tasks.db import connect
    from liber_tasks.training.options import options_for
    from liber_tasks.training.search import changed
    from liber_tasks.training.train import train as compare

    reads = _reads(settings, options)
    return compare(
        connect(settings), _texts(settings, memory, reads), backbone=settings.backbone, memory=memory, options=reads,
        seeds=settings.seeds, training=changed(options_for(settings.backbone), changes or {}),
        register="liber" in memory, bundle=bundle, checkpoints=checkpoints, run_labels=run_labels, progress=progress,
    )  # fmt: skip


def headline(report: "TrainReport") -> dict[str, Any]:
    """What a comparison came to, in ids and numbers: the model, its metrics beside the backbone's, whose vectors."""
    return {
        "model": report.model_name, "version": report.model_version, "run_id": report.run_id, "reused": report.reused,
        "auc": {memory: float(variant.auc.mean) for memory, variant in report.variants.items()},
        "log_loss": {memory: float(variant.log_loss.mean) for memory, variant in report.variants.items()},
        "knowledge_version": report.knowledge_version, "encoder_version": report.encoder_version,
    }  # fmt: skip


def encode_items(settings: Settings, options: Sequence[str] | None = None, progress: Progress = silent) -> int:
    """Encode new and changed items if the options read their texts; how many were. See `encoder.items.encode_items`.

    Args:
        settings: `encoder`, `model_options`.
        options: None: those of the settings.
        progress: told about items looked at.
    """
    if not READ_TEXT & set(_reads(settings, options)):
        return 0
    return int(learning.encode_items(settings, progress).encoded)


def candidates(settings: Settings, grid: Mapping[str, Any] | None) -> list[dict[str, Any]]:
    """What a search has to try: nothing where the grid leaves no choice."""
    from liber_tasks.training.options import options_for
    from liber_tasks.training.search import candidates as expand

    found = expand(grid, options_for(settings.backbone))
    return found if len(found) > 1 else []


def fit_candidate(
    settings: Settings,
    candidate: Mapping[str, Any],
    options: Sequence[str] | None = None,
    run_labels: Mapping[str, str] | None = None,
    progress: Progress = silent,
) -> str:
    """Train a candidate with the first seed and return its MLflow run; see `training.search.fit_candidate`."""
    from liber_tasks.db import connect
    from liber_tasks.training.search import fit_candidate as fit

    reads = _reads(settings, options)
    return fit(
        connect(settings), _texts(settings, BOTH, reads), candidate, backbone=settings.backbone, options=reads,
        checkpoints=settings.checkpoints, run_labels=run_labels, progress=progress,
    )  # fmt: skip


def choose(settings: Settings, grid: Mapping[str, Any] | None, run_ids: Sequence[str]) -> dict[str, Any]:
    """Hyperparameters to train with: those of the best candidate, or the only ones the grid leaves."""
    from liber_tasks.training.options import options_for
    from liber_tasks.training.search import best
    from liber_tasks.training.search import candidates as expand

    return best(settings, run_ids) if run_ids else expand(grid, options_for(settings.backbone))[0]


def _reads(settings: Settings, options: Sequence[str] | None) -> tuple[str, ...]:
    return options_of(settings) if options is None else check_options(options)


def _texts(settings: Settings, memory: Sequence[str], options: Sequence[str]) -> Settings:
    """The settings with the knowledge version whose vectors are read, if any are."""
    return learning.with_version(settings) if "liber" in memory and FUSED & set(options) else settings
