"""Our encoder against sentence-transformers: CPU-seconds of this process for the same texts, the same weights.

Both sides run on one thread, in turns, on distinct texts (ours would encode equal ones once only). The peer is used as
it comes: its batch of 32, its order by length, its number format (float32); only its window is widened to the
model's own, so that it reads every token that we read. Texts of two lengths, none beyond the window: what the embedded
LLM wrote (about 29 tokens), and five such texts in one.
"""

import gzip
import json
import statistics
import time
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch

from liber_tasks.encoder.knowledge import KnowledgeEncoder, dtype_name, model_folder
from tests.bench.database import say

TEXTS = Path(__file__).parents[1] / "texts" / "movielens-100k.smollm2-135m.jsonl.gz"
ROUNDS = 5
JOINED = 5  # texts in a long one
BARS = {"bfloat16": 1.8, "float32": 1.05}


def measure(size: int = 512) -> tuple[dict[str, Any], dict[str, Any]]:
    """`size` distinct texts, and a fifth as many long ones; the ratio is that of the short ones."""
    from sentence_transformers import SentenceTransformer

    torch.set_num_threads(1)
    ours = KnowledgeEncoder("minilm")
    peer = SentenceTransformer(str(model_folder("minilm")), device="cpu")
    peer.max_seq_length = 512
    texts = _texts()[:size]
    long = [" ".join(texts[start : start + JOINED]) for start in range(0, len(texts), JOINED)]
    ratios: dict[str, Any] = {}
    figures: dict[str, Any] = {
        "dtype": dtype_name(), "bar": BARS[dtype_name()], "rounds": ROUNDS,
        "sentence_transformers": version("sentence-transformers"),
    }  # fmt: skip
    cosines = []
    for name, group in (("", texts), ("_long", long)):
        spent: dict[str, list[float]] = {"ours": [], "peer": []}
        for number in range(ROUNDS + 1):  # the first warms up
            sides = [("ours", ours.embed), ("peer", partial(peer.encode, show_progress_bar=False))]
            rows = {}
            for side, work in sides if number % 2 else reversed(sides):
                begun = time.process_time()
                rows[side] = work(group)
                if number:
                    spent[side].append(time.process_time() - begun)
            cosines.append(float(_cosine(rows["ours"], rows["peer"]).min()))
            if number:
                say(f"encode{name}: round {number}: " + ", ".join(f"{side} {s[-1]:.2f} s" for side, s in spent.items()))
        paired = [peer / ours for ours, peer in zip(spent["ours"], spent["peer"], strict=True)]
        ratios[f"sentence_transformers_over_ours{name}"] = round(statistics.median(paired), 3)
        figures[f"texts{name}"] = len(group)
        figures[f"tokens_per_text{name}"] = round(statistics.mean(map(len, ours._pieces(group)[0])), 1)
        for side, seconds in spent.items():
            figures[f"{side}_cpu_ms_per_text{name}"] = round(1000 * statistics.median(seconds) / len(group), 3)
        figures[f"ratios{name}"] = [round(ratio, 3) for ratio in paired]
    ratios["min_cosine_to_fp32"] = round(min(cosines), 6)
    return ratios, figures


def _texts() -> list[str]:
    """What an LLM wrote, each text once, in the order of the file."""
    with gzip.open(TEXTS, "rt", encoding="utf-8") as lines:
        next(lines)  # the header
        return list(dict.fromkeys(json.loads(line)["text"] for line in lines))


def _cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
