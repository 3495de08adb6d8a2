"""What every backbone promises, whichever it is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load, save
from torch import Tensor, nn

from liber_tasks.backbones.batch import Batch
from liber_tasks.backbones.by_name import BACKBONES
from liber_tasks.fusion.model import start_as
from tests.backbones.batches import SIZES, random_batch, select
from tests.backbones.reference import REFERENCES, weights_of

EXTRA = 3
VARIANTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in BACKBONES},
    "fibinet all": ("fibinet", {"kind": "all"}),
    "fibinet each": ("fibinet", {"kind": "each"}),
}
each_backbone = pytest.mark.parametrize("variant", VARIANTS)


def make(variant: str, extra: int = 0, seed: int = 0, spread: float | None = 0.5, dropout: float = 0.0) -> nn.Module:
    """A backbone; fresh weights are too small to show a mistake, so they get a `spread` (None: as they come)."""
    name, arguments = VARIANTS[variant]
    torch.manual_seed(seed)
    model = BACKBONES[name](SIZES, embedding_size=4, hidden=(8, 5), dropout=dropout, extra=extra, **arguments)
    if spread is not None:
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=spread)
    return model.eval()


def further(batch: Batch, size: int = EXTRA, seed: int = 5) -> Tensor:
    return torch.randn(len(batch), size, generator=torch.Generator().manual_seed(seed))


def train_step(model: nn.Module, batch: Batch, extra: Tensor | None = None) -> None:
    """Gradients of a loss with everything that a training step adds up."""
    output = model.train()(batch, extra)
    loss = (output.logits - 1).square().mean()
    (loss if output.auxiliary is None else loss + output.auxiliary).backward()


@each_backbone
@settings(max_examples=12, deadline=None)
@given(rows=st.integers(1, 6), history=st.integers(0, 7), seed=st.integers(0, 1000), extra=st.sampled_from([0, EXTRA]))
def test_logits_are_those_of_the_published_formula(
    variant: str, rows: int, history: int, seed: int, extra: int
) -> None:
    model, batch = make(variant, extra, seed), random_batch(rows, history, seed=seed)
    columns = further(batch, extra)
    slow: Callable[..., float] = REFERENCES[VARIANTS[variant][0]]
    expected = [slow(weights_of(model), batch, row, columns[row].double().numpy()) for row in range(rows)]
    logits = model(batch, columns if extra else None).logits
    np.testing.assert_allclose(logits.detach().numpy(), expected, rtol=1e-4, atol=1e-4)


@each_backbone
def test_what_stands_in_padding_changes_nothing(variant: str) -> None:
    model, batch = make(variant), random_batch()
    other = replace(batch, history=torch.where(batch.history_mask, batch.history, 3))
    wider = replace(
        other,
        history=nn.functional.pad(other.history, (4, 0), value=5),
        history_mask=nn.functional.pad(batch.history_mask, (4, 0)),
    )
    torch.testing.assert_close(model(other).logits, model(batch).logits, rtol=0, atol=0)
    torch.testing.assert_close(model(wider).logits, model(batch).logits)


@each_backbone
def test_a_sample_scores_the_same_alone_and_in_any_batch(variant: str) -> None:
    model, batch = make(variant, EXTRA), random_batch()
    extra, rows = further(batch), range(len(batch))
    alone = torch.cat([model(select(batch, [row]), extra[row : row + 1]).logits for row in rows])
    turned = model(select(batch, [*reversed(rows)]), extra.flip(0)).logits.flip(0)
    torch.testing.assert_close(alone, model(batch, extra).logits)
    torch.testing.assert_close(turned, model(batch, extra).logits)


@each_backbone
def test_an_empty_history_is_one_that_has_no_positions(variant: str) -> None:
    model, batch = make(variant), select(random_batch(), [0])
    assert not batch.history_mask.any()
    none = replace(batch, history=batch.history[:, :0], history_mask=batch.history_mask[:, :0])
    assert model(batch).logits.isfinite().all()
    torch.testing.assert_close(model(none).logits, model(batch).logits)


@each_backbone
def test_a_batch_may_have_no_rows(variant: str) -> None:
    assert make(variant)(select(random_batch(), [])).logits.shape == (0,)


@each_backbone
def test_saved_and_loaded_weights_score_the_same(variant: str) -> None:
    model, other, batch = make(variant, EXTRA), make(variant, EXTRA, seed=9), random_batch()
    other.load_state_dict(load(save(model.state_dict())))
    torch.testing.assert_close(other(batch, further(batch)).logits, model(batch, further(batch)).logits, rtol=0, atol=0)


@each_backbone
@pytest.mark.parametrize("extra", [0, EXTRA])
def test_a_gradient_reaches_every_parameter(variant: str, extra: int) -> None:
    model, batch = make(variant, extra), random_batch(rows=24)
    train_step(model, batch, further(batch) if extra else None)
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert silent == []


@each_backbone
def test_gradients_are_finite_without_any_history(variant: str) -> None:
    model, batch = make(variant), select(random_batch(), [0, 0])
    train_step(model, batch)
    assert all(p.grad.isfinite().all() for p in model.parameters() if p.grad is not None)


@each_backbone
def test_further_features_weigh_nothing_at_first(variant: str) -> None:
    bare, wide, batch = make(variant), make(variant, EXTRA, seed=1, spread=None), random_batch()
    start_as(wide, bare.state_dict())
    small, large = wide(batch, further(batch)).logits, wide(batch, 100 * further(batch, seed=6)).logits
    torch.testing.assert_close(large, small, rtol=0, atol=0)
    torch.testing.assert_close(small, bare(batch).logits)


@each_backbone
def test_further_features_gain_weight_wherever_they_enter(variant: str) -> None:
    bare, wide, batch = make(variant), make(variant, EXTRA, spread=None), random_batch(rows=24)
    start_as(wide, bare.state_dict())
    start = {name: weight.clone() for name, weight in wide.state_dict().items()}
    optimizer = torch.optim.Adam(wide.parameters(), 0.01)
    for _ in range(4):
        optimizer.zero_grad()
        train_step(wide, batch, further(batch))
        optimizer.step()
    shapes = {name: weight.shape for name, weight in bare.state_dict().items()}
    for name, weight in wide.named_parameters():
        moved = weight.detach() != start[name]
        if name in shapes:
            moved[tuple(slice(n) for n in shapes[name])] = False  # what the bare model has too
        assert moved.any() or weight.shape == shapes.get(name), name


@each_backbone
def test_one_seed_gives_one_result(variant: str) -> None:
    def gradients() -> list[Tensor]:
        model, batch = make(variant, EXTRA, spread=None, dropout=0.5), random_batch(rows=24)
        torch.manual_seed(2)
        train_step(model, batch, further(batch))
        return [p.grad for p in model.parameters() if p.grad is not None]

    for once, again in zip(gradients(), gradients(), strict=True):
        torch.testing.assert_close(once, again, rtol=0, atol=0)


@each_backbone
def test_half_precision_is_near_full_precision(variant: str) -> None:
    model, batch = make(variant, EXTRA, spread=0.2), random_batch(rows=24)
    full = model(batch, further(batch)).logits
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = model(batch, further(batch)).logits
        train_step(model, batch, further(batch))
    torch.testing.assert_close(half.float(), full, rtol=0.05, atol=0.05)
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@each_backbone
def test_fresh_logits_are_small(variant: str) -> None:
    logits = make(variant, spread=None)(random_batch(rows=24)).logits
    assert logits.abs().max() < 0.7  # a click rate between 1/3 and 2/3: nothing to unlearn first


def test_only_dien_has_an_auxiliary_loss() -> None:
    outputs = {name: make(name).train()(random_batch()).auxiliary for name in BACKBONES}
    assert [name for name, auxiliary in outputs.items() if auxiliary is not None] == ["dien"]
