"""The state of a training run after each epoch, in a file of its own; a killed run goes on from there."""

import hashlib
import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from liber_tasks.fusion.model import ModelConfig
from liber_tasks.training.options import Options


@dataclass(frozen=True)
class File:
    """One run's checkpoint."""

    path: Path

    @classmethod
    def of(cls, folder: Path | None, digest: str, config: ModelConfig, options: Options, seed: int) -> "File | None":
        """The file of a run in `folder`; None without a folder. Another torch writes files of its own."""
        if folder is None:
            return None
        run = [digest, config.to_dict(), options.to_dict(), seed, torch.__version__, torch.cuda.is_available()]
        name = hashlib.sha256(json.dumps(run, sort_keys=True).encode()).hexdigest()[:24]
        return cls(folder / f"{config.backbone}-{seed}-{name}.pt")

    def read(self) -> dict[str, Any] | None:
        """What `write` kept; None when there is nothing or it cannot be read. No code is run by reading."""
        try:
            kept: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
        except (FileNotFoundError, EOFError, RuntimeError, UnpicklingError):
            return None
        return kept

    def write(self, state: dict[str, Any]) -> None:
        """Replace the file at once: whoever reads sees the old state or the new one."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=self.path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                torch.save(state, file)
            Path(name).replace(self.path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise

    def delete(self) -> None:
        """Forget it, if it is there."""
        self.path.unlink(missing_ok=True)
