"""What the champion's self-attention makes of a user's partitions (paper, Eq. 5 and 6). torch and MLflow load late."""

import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from liber_tasks.config import Settings
from liber_tasks.errors import LiberError

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = ("fusion.query.weight", "fusion.key.weight", "scale")  # of `LiberModel.state_dict()` with the option pooled


@dataclass(frozen=True)
class Champion:
    """The part of the registered champion that weighs partitions."""

    name: str  # "liber-ctr version 7"
    query: "Tensor"  # (d, in_features)
    key: "Tensor"  # (d, in_features)
    scale: "Tensor"  # (), of the vectors
    max_partitions: int  # so many of the newest are read
    encoder_version: str
    knowledge_version: str

    def shares(self, vectors: np.ndarray) -> np.ndarray:
        """Share of each partition in the fused vector: the attention weights, averaged over the queries.

        Args:
            vectors: (P, in_features) float32, the newest last, P >= 1.

        Returns:
            (P,) float32, sums to 1; 0 for those too old to be read.
        """
        import torch

        from liber_tasks.fusion.attention import shares

        read = torch.from_numpy(vectors[-self.max_partitions :]) * self.scale
        query = read @ self.query.T / self.query.shape[0] ** 0.5
        with torch.inference_mode():
            found = shares(query[None], (read @ self.key.T)[None], torch.ones(1, len(read), dtype=torch.bool))[0]
        return np.concatenate([np.zeros(len(vectors) - len(read), np.float32), found.numpy()])


def newest(settings: Settings) -> str:
    """The version number of the champion.

    Raises:
        InputError: MLFLOW_TRACKING_URI is not set.
        LiberError: there is no champion.
        ServiceUnavailable: MLflow does not answer.
    """
    from liber_tasks.training import registry, tracking

    return str(registry.champion(tracking.connect(settings), settings).version)


def load(settings: Settings, version: str) -> Champion:
    """Read the weights of a registered version, nothing else of it.

    Raises:
        LiberError: it does not weigh partitions.
        ServiceUnavailable: MLflow does not answer.
    """
    from safetensors.torch import load_file

    from liber_tasks.fusion.model import ModelConfig
    from liber_tasks.fusion.options import MEAN, POOLED
    from liber_tasks.serving.catalogue import VERSIONS, Versions
    from liber_tasks.training.tracking import mlflow_errors, pointed_at

    name, uri = f"{settings.model_name} version {version}", settings.require("mlflow_tracking_uri")
    with tempfile.TemporaryDirectory() as folder, mlflow_errors(uri), pointed_at(uri):
        config = ModelConfig.from_dict(json.loads(_fetch(settings, version, "config.json", folder).read_text("utf-8")))
        if POOLED not in config.options:
            why = "all of them weigh the same" if MEAN in config.options else "it reads none of their vectors"
            raise LiberError(f"The champion, {name}, does not weigh partitions: {why}.")
        versions = Versions.load(_fetch(settings, version, VERSIONS, folder).parent)
        weights = load_file(_fetch(settings, version, "model.safetensors", folder))
    query, key, scale = (weights[name] for name in WEIGHTS)
    return Champion(
        name, query, key, scale, config.max_partitions, str(versions.encoder_version), str(versions.knowledge_version)
    )


def _fetch(settings: Settings, version: str, file: str, folder: str) -> Path:
    from mlflow.artifacts import download_artifacts

    address = f"models:/{settings.model_name}/{version}/artifacts/model/{file}"
    return Path(download_artifacts(artifact_uri=address, dst_path=folder))
