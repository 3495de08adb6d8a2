"""FuxiCTR's side of `train`: a process in an environment of its own, which measures itself when it is told to.

Run as `python fuxictr_peer.py SAMPLES.npz`. Each line on stdin is `BACKBONE PROTOCOL`; the answer is a line of JSON
with the CPU-seconds of all training steps on the samples and their number. DIN and DIEN are the models that its wheel
brings; the others are not in the wheel and are put together of its layers, as its model zoo puts them together.
"""

import json
import logging
import sys
import time
from collections import OrderedDict

import numpy as np
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.layers import (
    BilinearInteractionV2,
    CompressedInteractionNet,
    CrossNet,
    CrossNetV2,
    FactorizationMachine,
    FeatureEmbedding,
    LogisticRegression,
    MLP_Block,
    ScaledDotProductAttention,
    SqueezeExcitation,
)
from fuxictr.pytorch.models import BaseModel
from model_zoo.LongCTR.DIEN import DIEN
from model_zoo.LongCTR.DIN import DIN
from torch import Tensor, nn

EMBEDDING, HIDDEN, BATCH, DROPOUT = 32, [200, 80], 1024, 0.4
CROSS_LAYERS, MAPS, HEADS, ATTENTION_LAYERS, DIN_UNITS = 3, [16, 16], 2, 2, [36]
COMMON = {
    "embedding_dim": EMBEDDING, "net_dropout": DROPOUT, "optimizer": "adam", "loss": "binary_crossentropy",
    "learning_rate": 1e-3, "model_root": ".", "metrics": ["AUC"], "verbose": 0,
}  # fmt: skip
SEQUENTIAL = ("din", "dien")
SHARED = {"item": ("history", "liked", "others"), "genre_set": ("history_genre_set",)}  # one table for each


class Interacting(nn.Module):
    """A layer of AutoInt: its attention, heads side by side, and the input added."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Linear(EMBEDDING, EMBEDDING, bias=False) for _ in range(3))
        self.attention = ScaledDotProductAttention(DROPOUT)

    def forward(self, fields: Tensor) -> Tensor:
        def split(projected: Tensor) -> Tensor:
            return projected.view(len(fields), -1, HEADS, EMBEDDING // HEADS).transpose(1, 2)

        mixed, _ = self.attention(split(self.query(fields)), split(self.key(fields)), split(self.value(fields)))
        return (mixed.transpose(1, 2).flatten(2) + fields).relu()


class Flat(BaseModel):
    """The families that read a history as one pooled field, by the name of ours."""

    def __init__(self, features: FeatureMap, backbone: str) -> None:
        super().__init__(features, **COMMON)
        self.backbone = backbone
        self.embedding_layer = FeatureEmbedding(features, EMBEDDING)
        fields = features.num_fields
        width = inputs = fields * EMBEDDING
        if backbone == "deepfm":
            self.fm = FactorizationMachine(features)
        elif backbone in ("dcn", "dcnv2"):
            self.cross = (CrossNet if backbone == "dcn" else CrossNetV2)(width, CROSS_LAYERS)
            self.cross_out = nn.Linear(width, 1)
        elif backbone == "xdeepfm":
            self.first_order = LogisticRegression(features, use_bias=False)
            self.interaction = CompressedInteractionNet(fields, MAPS)
        elif backbone == "autoint":
            self.attention = nn.Sequential(*(Interacting() for _ in range(ATTENTION_LAYERS)))
            self.attention_out = nn.Linear(width, 1)
        else:
            self.first_order = LogisticRegression(features, use_bias=False)
            self.senet = SqueezeExcitation(fields)
            self.plain, self.weighed = (BilinearInteractionV2(fields, EMBEDDING) for _ in range(2))
            inputs = fields * (fields - 1) * EMBEDDING
        self.dnn = MLP_Block(inputs, HIDDEN, output_dim=1, dropout_rates=DROPOUT)
        self.compile("adam", "binary_crossentropy", COMMON["learning_rate"])
        self.reset_parameters()

    def forward(self, inputs: dict[str, Tensor]) -> dict[str, Tensor]:
        given = self.get_inputs(inputs)
        fields = self.embedding_layer(given)
        flat = fields.flatten(1)
        if self.backbone == "deepfm":
            score = self.fm(given, fields) + self.dnn(flat)
        elif self.backbone in ("dcn", "dcnv2"):
            score = self.cross_out(self.cross(flat)) + self.dnn(flat)
        elif self.backbone == "xdeepfm":
            score = self.first_order(given) + self.interaction(fields) + self.dnn(flat)
        elif self.backbone == "autoint":
            score = self.attention_out(self.attention(fields).flatten(1)) + self.dnn(flat)
        else:
            products = torch.cat([self.plain(fields), self.weighed(self.senet(fields))], dim=1)
            score = self.first_order(given) + self.dnn(products.flatten(1))
        return {"y_pred": self.output_activation(score)}


class Samples:
    """The samples as FuxiCTR takes them: padded columns, cut into batches before any measurement."""

    def __init__(self, path: str) -> None:
        arrays = np.load(path)
        self.columns = {name: torch.from_numpy(arrays[name]) for name in arrays.files}
        self.sizes = {name: int(column.max()) + 1 for name, column in self.columns.items()}
        for name, others in SHARED.items():
            self.sizes[name] = max(self.sizes[other] for other in (name, *others))

    def batches(self, backbone: str, protocol: str) -> tuple[FeatureMap, list]:
        """What a model of `protocol` reads; "ids_only": the history is ids alone, in one field."""
        own = ["user", "age", "gender", "occupation", "lustrum"]
        chunks = [slice(start, start + BATCH) for start in range(0, len(self.columns["label"]), BATCH)]
        if backbone in SEQUENTIAL:
            of_item = ["item"] if protocol == "ids_only" else ["item", "genre_set"]
            features = self._features([*own, *of_item], of_item)
            return features, [self._sequential(own, of_item, chunk) for chunk in chunks]
        history = ["history"] if protocol == "ids_only" else ["liked", "others"]
        names = [*own, "item", "genres", *history, "label"]
        features = self._features(names[:-1], ["item"])
        return features, [{name: self.columns[name][chunk] for name in names} for chunk in chunks]

    def _sequential(self, own: list, of_item: list, chunk: slice) -> tuple:
        """A batch as LongCTR's models take it: the candidate is the last item of its history."""
        batch = {name: self.columns[name][chunk] for name in [*own, "label"]}
        history = self.columns["history"][chunk]
        past = {"item": history, "genre_set": self.columns["history_genre_set"][chunk]}
        items = {
            name: torch.cat([past[name], self.columns[name][chunk].unsqueeze(1)], dim=1).flatten() for name in of_item
        }
        return batch, items, (history > 0).float()

    def _features(self, names: list, of_item: list) -> FeatureMap:
        features = FeatureMap("samples", ".")
        features.default_emb_dim, features.labels = EMBEDDING, ["label"]
        for name in names:
            many = self.columns[name].dim() == 2
            spec = {
                "source": "item" if name in of_item else "user", "type": "sequence" if many else "categorical",
                "vocab_size": self.sizes["item" if name in SHARED["item"] else name],
            }  # fmt: skip
            if name in SHARED["item"]:
                spec["share_embedding"] = "item"
            if many or name in of_item:
                spec["padding_idx"] = 0
            if many:
                spec |= {"feature_encoder": "layers.MaskedAveragePooling()", "max_len": self.columns[name].shape[1]}
            features.features[name] = spec
        features.features = OrderedDict(features.features)
        features.num_fields = features.get_num_fields()
        return features


def build(features: FeatureMap, backbone: str) -> BaseModel:
    """The model with our sizes; what slows it down and ours leaves out (batch normalisation) is left out."""
    if backbone == "din":
        return DIN(features, dnn_hidden_units=HIDDEN, attention_hidden_units=DIN_UNITS, **COMMON)
    if backbone == "dien":
        return DIEN(features, dnn_hidden_units=HIDDEN, batch_norm=False, **COMMON)
    return Flat(features, backbone)


def main() -> None:
    torch.set_num_threads(1)
    logging.disable(logging.CRITICAL)
    samples = Samples(sys.argv[1])
    print("ready", flush=True)
    for line in sys.stdin:
        backbone, protocol = line.split()
        features, batches = samples.batches(backbone, protocol)
        torch.manual_seed(0)
        model = build(features, backbone)
        model._max_gradient_norm, model._batch_index = 10.0, 0  # what its `fit` sets
        model.train()
        model.train_step(batches[0])  # the optimizer makes its state
        begun = time.process_time()
        for batch in batches[1:]:
            model.train_step(batch).item()
        spent = time.process_time() - begun
        print(json.dumps({"seconds": spent, "samples": sum(map(_length, batches[1:]))}), flush=True)


def _length(batch: tuple | dict) -> int:
    return len((batch if isinstance(batch, dict) else batch[0])["label"])


if __name__ == "__main__":
    main()
