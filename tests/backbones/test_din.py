"""DIN against its published formula, position by position."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.backbones.batch import Batch
from liber_tasks.backbones.din import DIN, AttentionUnit
from liber_tasks.fusion.model import build
from tests.backbones.batches import config, random_batch, select, vocabulary


def _din(seed: int = 0) -> DIN:
    torch.manual_seed(seed)
    model = build(config("none"), vocabulary())
    assert isinstance(model, DIN)
    for parameter in model.parameters():  # fresh weights are too small to show a mistake
        torch.nn.init.normal_(parameter, std=0.5)
    return model.eval()


def _prelu(x: np.ndarray, slope: float) -> np.ndarray:
    return np.where(x > 0, x, slope * x)


def _slow_attention(unit: AttentionUnit, query: np.ndarray, keys: list[np.ndarray]) -> np.ndarray:
    w = {name: value.detach().double().numpy() for name, value in unit.state_dict().items()}
    pooled = np.zeros_like(query)
    for key in keys:
        pair = np.concatenate([query, key, query - key, query * key])
        hidden = _prelu(w["first.weight"] @ pair + w["first.bias"], w["activation.weight"][0])
        pooled += (w["second.weight"] @ hidden + w["second.bias"])[0] * key
    return pooled


def _slow_logit(model: DIN, batch: Batch, row: int) -> float:
    w = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}

    def item(number: int, genres: torch.Tensor) -> np.ndarray:
        return w["item.ids.weight"][number] + w["item.genres.weight"] @ genres.double().numpy()

    candidate = item(int(batch.item[row, 0]), batch.genres[row])
    keys = [
        item(int(batch.entry_item[entry]), batch.entry_genres[entry]) + w["sign.weight"][batch.entry_sign[entry]]
        for entry, real in zip(batch.history[row], batch.history_mask[row], strict=True)
        if real
    ]
    user = [w[f"user.tables.{field}.weight"][batch.user[row, field]] for field in range(4)]
    lustrum = w["lustrum.weight"][batch.item[row, 1]]
    x = np.concatenate([*user, candidate, lustrum, _slow_attention(model.attention, candidate, keys)])
    for layer in range(2):
        hidden = w[f"mlp.hidden.{layer}.weight"] @ x + w[f"mlp.hidden.{layer}.bias"]
        x = _prelu(hidden, w[f"mlp.activations.{layer}.weight"][0])
    return float((w["mlp.out.weight"] @ x + w["mlp.out.bias"])[0])


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(1, 8), history=st.integers(0, 9), seed=st.integers(0, 1000))
def test_logits_are_those_of_the_published_formula(rows: int, history: int, seed: int) -> None:
    model, batch = _din(seed), random_batch(rows, history, seed=seed)
    expected = [_slow_logit(model, batch, row) for row in range(rows)]
    np.testing.assert_allclose(model(batch).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_activation_weights_are_not_normalised() -> None:
    unit, key = AttentionUnit(4), torch.randn(1, 1, 4)
    once = unit(torch.ones(1, 4), key, torch.ones(1, 1, dtype=torch.bool))
    twice = unit(torch.ones(1, 4), key.expand(1, 2, 4), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(twice, 2 * once)


def test_what_stands_in_padding_changes_nothing() -> None:
    model, batch = _din(), random_batch()
    other = replace(batch, history=torch.where(batch.history_mask, batch.history, 3))
    wider = replace(
        other,
        history=torch.nn.functional.pad(other.history, (4, 0), value=5),
        history_mask=torch.nn.functional.pad(batch.history_mask, (4, 0)),
    )
    torch.testing.assert_close(model(other), model(batch), rtol=0, atol=0)
    torch.testing.assert_close(model(wider), model(batch))


def test_a_sample_scores_the_same_alone_and_in_any_batch() -> None:
    model, batch = _din(), random_batch()
    alone = torch.cat([model(select(batch, [row])) for row in range(len(batch))])
    torch.testing.assert_close(alone, model(batch))


def test_an_empty_history_pools_to_zero() -> None:
    unit, mask = AttentionUnit(4), torch.zeros(2, 3, dtype=torch.bool)
    assert unit(torch.randn(2, 4), torch.randn(2, 3, 4), mask).eq(0).all()
    assert unit(torch.randn(2, 4), torch.randn(2, 0, 4), mask[:, :0]).eq(0).all()


@pytest.mark.parametrize("memory", ["none", "liber"])
def test_a_gradient_reaches_every_parameter(memory: str) -> None:
    torch.manual_seed(0)
    model, batch = build(config(memory), vocabulary()), random_batch(rows=16)  # type: ignore[arg-type]
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    model(batch).square().sum().backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []
