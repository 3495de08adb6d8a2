"""The knowledge encoder: a real BERT, mean pooling over real tokens."""

import numpy as np
import pytest
import torch
from transformers import AutoModel, AutoTokenizer

from liber_tasks.encoder.knowledge import KnowledgeEncoder, dtype_name, model_folder, model_identity
from liber_tasks.errors import InputError

TEXTS = [
    "The user enjoys slow science fiction.",
    "Comedies.",
    "War dramas of the seventies, and now and then a western with a strong score.",
]


@pytest.fixture(scope="module")
def encoder() -> KnowledgeEncoder:
    return KnowledgeEncoder("minilm")


def cosine(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(-1) / np.linalg.norm(a, axis=-1) / np.linalg.norm(b, axis=-1)


def test_it_equals_the_plain_computation_one_text_at_a_time(encoder: KnowledgeEncoder) -> None:
    tokenizer, model = (
        AutoTokenizer.from_pretrained(model_folder("minilm")),
        AutoModel.from_pretrained(model_folder("minilm")),
    )
    with torch.no_grad():
        plain = [model(**tokenizer(text, return_tensors="pt")).last_hidden_state[0].mean(0).numpy() for text in TEXTS]
    assert cosine(encoder.embed(TEXTS), np.stack(plain)).min() > 0.999


def test_a_vector_depends_neither_on_its_neighbours_nor_on_their_order(encoder: KnowledgeEncoder) -> None:
    tolerance = 1e-6 if dtype_name() == "float32" else 1e-3
    alone = np.concatenate([encoder.embed([text]) for text in TEXTS])
    assert cosine(encoder.embed(TEXTS), alone).min() > 1 - tolerance
    assert cosine(encoder.embed(TEXTS[::-1])[::-1], alone).min() > 1 - tolerance


def test_the_end_of_a_long_text_counts(encoder: KnowledgeEncoder) -> None:
    start = "The user likes musicals. " * 200
    assert cosine(encoder.embed([start + "horror " * 300]), encoder.embed([start + "romance " * 300]))[0] < 0.99


def test_an_unknown_encoder_names_the_setting(tmp_path) -> None:
    with pytest.raises(InputError, match="LIBER_ENCODER"):
        KnowledgeEncoder(str(tmp_path))


def test_the_identity_follows_the_weights_not_the_name(tmp_path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = model_identity(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert model_identity(str(tmp_path)) != before
