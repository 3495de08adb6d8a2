"""The registered model as MLflow loads it (models from code): no database, no pickle."""

import json
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import torch
from mlflow.pyfunc import PythonModel, PythonModelContext
from safetensors.torch import load_file

from liber_tasks.backbones.vocabulary import Vocabulary
from liber_tasks.fusion.model import ModelConfig, build
from liber_tasks.serving.inputs import encode


class ClickModel(PythonModel):
    """Click probability of (user, item) pairs; columns: `liber_tasks.serving.inputs.COLUMNS`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read weights, configuration and vocabulary."""
        folder = Path(context.artifacts["model"])
        self.config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        self.vocabulary = Vocabulary.from_json((folder / "vocabulary.json").read_text(encoding="utf-8"))
        self.model = build(self.config, self.vocabulary)
        self.model.load_state_dict(load_file(folder / "model.safetensors"))
        self.model.eval()

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Probabilities, in the order and with the index of the input rows.

        Raises:
            InputError: a row's lists do not fit the model; names row and column.
        """
        with torch.inference_mode():
            probability = torch.sigmoid(self.model(encode(model_input, self.vocabulary, self.config)))
        return pd.DataFrame({"probability": probability.double().numpy()}, index=model_input.index)


mlflow.models.set_model(ClickModel())
