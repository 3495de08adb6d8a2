"""The registered model as MLflow loads it (models from code): weights in safetensors, no pickle, no LLM."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pandas as pd
import torch
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import INTERNAL_ERROR, INVALID_PARAMETER_VALUE, TEMPORARILY_UNAVAILABLE
from mlflow.pyfunc import PythonModel, PythonModelContext
from safetensors.torch import load_file

from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.fusion.model import ModelConfig, build
from liber_tasks.serving.bundle import BUNDLE, Bundle
from liber_tasks.serving.catalogue import Catalogue, Versions
from liber_tasks.serving.fused import FusedVectors
from liber_tasks.serving.gather import Pairs, gather
from liber_tasks.serving.inputs import Rows, as_list, read
from liber_tasks.serving.past import Source, UserPast, from_row
from liber_tasks.serving.profiles import PartitionProfiles

BATCH = 4096  # rows that go through the model at once
CODES = {InputError: INVALID_PARAMETER_VALUE, ServiceUnavailable: TEMPORARILY_UNAVAILABLE}  # HTTP 400, 503


class ClickModel(PythonModel):
    """Click probability of (user, item) pairs; columns: `liber_tasks.serving.inputs.COLUMNS`."""

    def load_context(self, context: PythonModelContext) -> None:
        """Read weights, configuration, catalogue and, if it carries them, features."""
        self.folder = folder = Path(context.artifacts["model"])
        self.config = ModelConfig.from_dict(json.loads((folder / "config.json").read_text(encoding="utf-8")))
        self.catalogue = Catalogue.load(folder)
        self.model = build(self.config, self.catalogue.vocabulary)
        self.model.load_state_dict(load_file(folder / "model.safetensors"))
        self.model.eval()
        self.profiled = PartitionProfiles(self.catalogue, self.config)
        self.fuse = FusedVectors(self.model, self.config) if self.config.reads_vectors else None

    @cached_property
    def source(self) -> Source:
        """Where pasts are looked up: the model's own bundle, or the database the environment names."""
        if (self.folder / BUNDLE).exists():
            return Bundle.load(self.folder, self.config)
        from liber_tasks.serving.database import Database  # a bundled model needs no driver

        return Database(self.catalogue, self.config, Versions.load(self.folder))

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> pd.DataFrame:
        """Columns `probability`, `known_user`, `known_item`, in the order and with the index of the input rows.

        Raises:
            MlflowException: a row or a setting is wrong, the database does not answer or has no vectors of the model's
                versions; says which and what to do, and has the HTTP status to match.
        """
        with _clear_errors():
            rows = read(model_input)
            pasts, past_of = self._pasts(rows)
            pairs, known_item = self._pairs(rows, pasts, past_of)
            found = [self._score(pasts, pairs.part(start, start + BATCH)) for start in range(0, len(rows), BATCH)]
        known_user = np.array([past.known for past in pasts], dtype=bool)
        return pd.DataFrame(
            {
                "probability": np.concatenate([np.zeros(0), *found]),
                "known_user": known_user[past_of] if len(pasts) else known_user,
                "known_item": known_item,
            },
            index=model_input.index,
        )

    def _score(self, pasts: list[UserPast], pairs: Pairs) -> np.ndarray:
        with torch.inference_mode():
            batch = gather(self.config, self.catalogue, pasts, pairs, self.profiled, self.fuse)
            logits = self.model(batch).logits
        return torch.sigmoid(logits).double().numpy()

    def _pasts(self, rows: Rows) -> tuple[list[UserPast], np.ndarray]:
        """Distinct pasts, and which of them each row reads, (n,) int64."""
        past_of = np.zeros(len(rows), dtype=np.int64)
        own = rows.given("history_item_ids")
        pasts = [from_row(rows, row, self.catalogue, self.config) for row in own]
        past_of[own] = np.arange(len(own))
        looked_up = sorted(set(range(len(rows))) - set(own))
        asked = {(rows.user_ids[row], rows.moments[row]): 0 for row in looked_up}
        for number, pair in enumerate(asked, len(pasts)):
            asked[pair] = number
        if asked:
            pasts += self.source.users(list(asked))
        past_of[looked_up] = [asked[rows.user_ids[row], rows.moments[row]] for row in looked_up]
        return pasts, past_of

    def _pairs(self, rows: Rows, pasts: list[UserPast], past_of: np.ndarray) -> tuple[Pairs, np.ndarray]:
        """The rows in the model's terms; attributes that a row gives win over those that are stored."""
        catalogue, vocabulary = self.catalogue, self.catalogue.vocabulary
        row = catalogue.rows(rows.item_ids)
        pairs = Pairs(
            past=past_of,
            user=np.array([past.user for past in pasts], dtype=np.int64).reshape(-1, 4)[past_of],
            row=row,
            item=catalogue.items[row],
            genres=catalogue.genres[row],
        )
        known = row > 0
        new = self._new_items(rows, row)
        for number, (genres, year) in new.items():
            known[number] = True
            self._describe(pairs, number, genres, year)
        for number in {*rows.given("genres"), *rows.given("year")}:
            self._describe(pairs, number, rows.others["genres"][number], rows.others["year"][number])
        for column, name in enumerate(("age", "gender", "occupation"), 1):
            for number in rows.given(name):
                given = {name: rows.others[name][number]}
                pairs.user[number, column] = vocabulary.user_row("", **_ALL | given)[column]
        return pairs, known

    def _new_items(self, rows: Rows, row: np.ndarray) -> dict[int, tuple[Any, Any]]:
        """Stored (genres, year) of rows whose item came after training and whose row does not describe it."""
        given = {*rows.given("genres"), *rows.given("year"), *rows.given("history_item_ids")}
        numbers = [number for number in np.flatnonzero(row == 0).tolist() if number not in given]
        if not numbers:
            return {}
        stored = self.source.items(sorted({rows.item_ids[number] for number in numbers}))
        return {number: stored[rows.item_ids[number]] for number in numbers if rows.item_ids[number] in stored}

    def _describe(self, pairs: Pairs, number: int, genres: Any, year: Any) -> None:
        vocabulary = self.catalogue.vocabulary
        if genres is not None:
            columns = list(vocabulary.genre_columns(as_list(genres)))
            pairs.genres[number] = 0
            pairs.genres[number, columns] = 1 / max(len(columns), 1)
        if year is not None:
            pairs.item[number, 1] = vocabulary.item_row(None, year)[1]


_ALL = {"age": math.nan, "gender": None, "occupation": None}


@contextmanager
def _clear_errors() -> Iterator[None]:
    """Errors a caller can act on, as MLflow passes them on: the message whole, and the right HTTP status."""
    try:
        yield
    except LiberError as error:
        raise MlflowException(str(error), error_code=CODES.get(type(error), INTERNAL_ERROR)) from error


mlflow.models.set_model(ClickModel())
