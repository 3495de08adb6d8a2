"""The knowledge encoder: a real BERT, mean pooling over real tokens."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoModel, AutoTokenizer, PreTrainedTokenizerBase

from liber_tasks.encoder.knowledge import KnowledgeEncoder, dtype_name, model_folder, model_identity, usable_window
from liber_tasks.errors import InputError
from tests.encoder.conftest import POSITIONS

CLOSE = 1e-5 if dtype_name() == "float32" else 0.05  # of numbers around 1

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


# Splitting: every token counts once, whatever the model's window


@cache
def loaded(folder: Path) -> tuple[PreTrainedTokenizerBase, torch.nn.Module]:
    return AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder)


def slow(folder: Path, text: str, window: int) -> np.ndarray:
    """One text, piece by piece: special tokens around every `window - 2` tokens, then the mean over all of them."""
    tokenizer, model = loaded(folder)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    rows = []
    for start in range(0, max(len(ids), 1), window - 2):
        piece = [tokenizer.cls_token_id, *ids[start : start + window - 2], tokenizer.sep_token_id]
        with torch.no_grad():
            rows.append(model(input_ids=torch.tensor([piece])).last_hidden_state[0].numpy())
    return np.concatenate(rows).mean(0)


@pytest.fixture(scope="module")
def short(short_bert: Path) -> KnowledgeEncoder:
    return KnowledgeEncoder(str(short_bert))


@settings(deadline=None, max_examples=25)
@given(lengths=st.lists(st.integers(0, 3 * POSITIONS), min_size=1, max_size=5))
def test_split_texts_equal_the_slow_computation(short: KnowledgeEncoder, short_bert: Path, lengths: list[int]) -> None:
    words = ["the", "user", "likes", "old", "films", "about", "war", "and", "jazz", "but", "no", "horror"]
    texts = [" ".join(words[(n + i) % len(words)] for i in range(n)) for n in lengths]
    expected = np.stack([slow(short_bert, text, POSITIONS) for text in texts])
    assert np.allclose(short.embed(texts), expected, atol=CLOSE)


@pytest.mark.parametrize("words", [1, POSITIONS - 3, POSITIONS - 2, POSITIONS - 1, 10 * POSITIONS])
def test_texts_around_the_window_and_far_beyond_lose_nothing(
    short: KnowledgeEncoder, short_bert: Path, words: int
) -> None:
    text = " ".join(["jazz"] * (words - 1) + ["horror"])
    assert np.allclose(short.embed([text])[0], slow(short_bert, text, POSITIONS), atol=CLOSE)
    assert not np.allclose(short.embed([text]), short.embed(["jazz " * words]), atol=1e-6)


def test_each_piece_has_special_tokens_of_its_own_and_fits_the_window(short: KnowledgeEncoder) -> None:
    pieces, owner = short._pieces(["jazz " * 25, "", "war"])
    cls, sep, jazz, war = (short._tokenizer.convert_tokens_to_ids(t) for t in ("[CLS]", "[SEP]", "jazz", "war"))
    full = [cls, *[jazz] * (POSITIONS - 2), sep]
    assert pieces == [full, full, [cls, *[jazz] * 5, sep], [cls, sep], [cls, war, sep]]
    assert owner.tolist() == [0, 0, 0, 1, 2]


def test_a_roberta_uses_the_positions_behind_its_padding_tokens(tiny_roberta: Path) -> None:
    encoder = KnowledgeEncoder(str(tiny_roberta))
    assert usable_window(encoder._model) == POSITIONS - 2
    texts = ["a b c d e f g h", "a b c d e f g h i", " ".join("abcdefghijklmnopqrstuvwxyz" * 3), "a"]
    expected = np.stack([slow(tiny_roberta, text, POSITIONS - 2) for text in texts])
    assert np.allclose(encoder.embed(texts), expected, atol=CLOSE)


def test_a_full_window_of_a_real_bert_is_one_piece_of_512(encoder: KnowledgeEncoder) -> None:
    pieces, _ = encoder._pieces(["jazz " * 510, "jazz " * 511])
    assert [len(piece) for piece in pieces] == [512, 512, 3]


# Odd texts


def test_an_empty_text_has_the_vector_of_its_special_tokens(short: KnowledgeEncoder, short_bert: Path) -> None:
    found = short.embed(["", "  \n ", "jazz"])
    assert np.allclose(found[0], slow(short_bert, "", POSITIONS), atol=CLOSE)
    assert np.array_equal(found[0], found[1])
    assert not np.allclose(found[0], found[2], atol=1e-3)


def test_a_text_without_any_token_is_zeros_and_not_nan(short_bert: Path) -> None:
    bare = KnowledgeEncoder(str(short_bert))
    bare._tokenizer.backend_tokenizer.post_processor = None  # a tokenizer that adds no special tokens
    found = bare.embed(["", "jazz"])
    assert not found[0].any()
    assert found[1].any()
    assert not bare.embed([""]).any()


def test_no_texts_are_no_rows(short: KnowledgeEncoder) -> None:
    assert short.embed([]).shape == (0, 8)


def test_equal_texts_are_encoded_once_and_have_equal_rows(short: KnowledgeEncoder) -> None:
    told: list[int] = []
    found = short.embed(["jazz", "war", "jazz"] * 50, lambda done, total, label: told.append(done))
    assert told == [2]
    assert np.array_equal(found[0], found[2])
    assert np.array_equal(found[:3], found[-3:])
    assert not np.array_equal(found[0], found[1])


@settings(deadline=None, max_examples=15)
@given(order=st.permutations(range(8)), batch=st.sampled_from([1, 3, 32]))
def test_rows_do_not_depend_on_batches(short: KnowledgeEncoder, order: list[int], batch: int) -> None:
    texts = [" ".join(["jazz", "war", "old"][: 1 + n % 3] * (1 + 3 * n)) for n in range(8)]
    alone = np.concatenate([short.embed([text]) for text in texts])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("liber_tasks.encoder.knowledge.BATCH", batch)
        found = short.embed([texts[n] for n in order])
    assert cosine(found, alone[order]).min() > 1 - (1e-6 if dtype_name() == "float32" else 1e-3)


def test_an_unknown_encoder_names_the_setting(tmp_path) -> None:
    with pytest.raises(InputError, match="LIBER_ENCODER"):
        KnowledgeEncoder(str(tmp_path))


def test_the_identity_follows_the_weights_not_the_name(tmp_path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"one")
    before = model_identity(str(tmp_path))
    (tmp_path / "model.safetensors").write_bytes(b"two")
    assert model_identity(str(tmp_path)) != before


def test_weights_in_the_older_format_count_too(tmp_path: Path) -> None:
    (tmp_path / "pytorch_model.bin").write_bytes(b"one")
    before = model_identity(str(tmp_path))
    (tmp_path / "pytorch_model.bin").write_bytes(b"two")
    assert model_identity(str(tmp_path)) != before
