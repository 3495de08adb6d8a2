"""What a comparison trains: variants without and with memory, each with every seed. Knows no MLflow."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from liber_tasks.backbones.by_name import backbone_of
from liber_tasks.errors import InputError
from liber_tasks.fusion.model import ModelConfig
from liber_tasks.fusion.options import BASIC, FUSED, check_options
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.fit import THREADS, Fitted, fit, threads
from liber_tasks.training.options import Options
from liber_tasks.types import Progress

Memory = Literal["none", "liber"]
NONE, LIBER = "none", "liber"
BOTH: tuple[Memory, ...] = ("none", "liber")


@dataclass(frozen=True)
class Plan:
    """Everything that decides what comes out, besides the samples.

    Attributes:
        backbone: name in `backbones.by_name`.
        memory: variants, in the order they are trained.
        options: what "liber" reads besides the basic features, names in `fusion.options` in their order.
        seeds: 0 .. seeds - 1 are run for each variant, paired.
        training: hyperparameters of all.
    """

    backbone: str
    memory: tuple[Memory, ...]
    options: tuple[str, ...]
    seeds: int
    training: Options

    def __post_init__(self) -> None:
        backbone_of(self.backbone)
        if not self.memory or set(self.memory) - set(BOTH) or len(set(self.memory)) < len(self.memory):
            raise InputError(f"The memory variants are {list(self.memory)}: give 'none', 'liber' or both, each once.")
        if self.seeds < 1:
            raise InputError(f"seeds is {self.seeds}: it must be at least 1.")
        if LIBER in self.memory and not set(self.options) - set(BASIC):
            raise InputError("The model with memory would read no memory: give at least one option, such as pooled.")

    @property
    def reads(self) -> tuple[str, ...]:
        """Options that the samples must serve."""
        return self.options_of(LIBER if LIBER in self.memory else NONE)

    @property
    def reads_vectors(self) -> bool:
        """Whether a variant reads partition vectors."""
        return bool(FUSED & set(self.reads))

    def check(self, dataset: Dataset) -> None:
        """Raises InputError where the samples lack what a variant reads; says what to do."""
        if self.reads_vectors and dataset.version is None:
            raise InputError("There is no interest vector yet: run `liber encode`, or train with `--memory none`.")

    def config(self, memory: str, dataset: Dataset) -> ModelConfig:
        """The configuration of a variant's models."""
        return dataset.config(self.backbone, self.options_of(memory), self.training)

    def options_of(self, memory: str) -> tuple[str, ...]:
        """What a variant reads: every one the basic features, "liber" its options too."""
        return check_options({*BASIC, *(self.options if memory == LIBER else ())})

    def params(self, dataset: Dataset) -> dict[str, Any]:
        """What MLflow keeps as parameters, as JSON types."""
        return {"backbone": self.backbone, "memory": list(self.memory), "options": list(self.reads),
                "seeds": self.seeds, "max_history": dataset.max_history, "max_past": dataset.max_past,
                "max_partitions": dataset.max_partitions, **self.training.to_dict(),
                **({"feedback": dataset.feedback} if dataset.feedback else {})}  # fmt: skip

    def fits(self, dataset: Dataset, checkpoints: Path | None, progress: Progress) -> Iterator[tuple[Memory, Fitted]]:
        """Train every variant with every seed.

        Args:
            dataset: samples that serve `reads`.
            checkpoints: folder of states, as in `fit`.
            progress: told about the samples of the epoch at hand and the run it belongs to, and about runs at the end.
        """
        total = len(self.memory) * self.seeds
        runs = [(seed, memory) for seed in range(self.seeds) for memory in self.memory]
        for number, (seed, memory) in enumerate(runs, 1):
            run = f"run {number} of {total} ({self.backbone}, memory {memory}, seed {seed})"
            with threads(THREADS):  # what the caller does with a model too
                yield memory, fit(
                    dataset, self.config(memory, dataset), self.training, seed, checkpoints=checkpoints,
                    progress=_of_run(progress, run),
                )  # fmt: skip
        progress(total, total, "training runs")


def versions(dataset: Dataset, plan: Plan) -> dict[str, str]:
    """What models of these samples were made from, as tags."""
    tags = {"liber.dataset_digest": dataset.digest, "liber.cut": dataset.cut.isoformat()}
    tags |= {f"liber.item_{name}": version for name, version in dataset.item_versions.items()}
    if dataset.feedback is not None:
        tags["liber.feedback"] = dataset.feedback
    if dataset.version is not None and plan.reads_vectors:
        tags |= {
            "liber.encoder_version": dataset.version.encoder_version,
            "liber.knowledge_version": dataset.version.knowledge_version,
            "liber.llm_model": dataset.version.model,
            "liber.summary_prompt": dataset.version.summary_prompt,
            "liber.shift_prompt": dataset.version.shift_prompt,
        }
    return tags


def fingerprint(*parts: Any) -> str:
    """sha256 of JSON types."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def own_folder(checkpoints: Path | None, fingerprint: str) -> Path | None:
    """Folder of one comparison's states: it goes when the comparison is finished."""
    return checkpoints / fingerprint[:24] if checkpoints else None


def _of_run(progress: Progress, run: str) -> Progress:
    def show(done: int, total: int | None, label: str) -> None:
        progress(done, total, f"{run}: {label}")

    return show


def chosen(memory: Sequence[str]) -> tuple[Memory, ...]:
    """The variants among `memory`, "none" first."""
    return tuple(name for name in BOTH if name in memory)
