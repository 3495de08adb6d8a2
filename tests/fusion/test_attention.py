"""Attention over partitions against its formulas, one user at a time."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.fusion import attention
from liber_tasks.fusion.attention import MeanPooling, SelfAttentionPooling, TargetAttention, shares


def _layer(seed: int = 0, d_in: int = 5, d: int = 3) -> SelfAttentionPooling:
    torch.manual_seed(seed)
    layer = SelfAttentionPooling(d_in, d)
    torch.nn.init.normal_(layer.nothing)
    return layer


def _memory(counts: list[int], padded_to: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Vectors, which of them each memory holds, and which places hold one; memories share vectors."""
    generator = torch.Generator().manual_seed(seed)
    mask = torch.arange(padded_to) >= padded_to - torch.tensor(counts).unsqueeze(1)
    memories = torch.randint(0, 7, mask.shape, generator=generator)
    return 2 * torch.randn(7, 5, generator=generator), memories, mask


def _slow(layer: SelfAttentionPooling, vectors: np.ndarray) -> np.ndarray:
    """Mean over rows of Softmax(R Wq (R Wk)^T / sqrt(d)) R Wv for one user's (j, d_in) matrix R."""
    if not len(vectors):
        return layer.nothing.detach().double().numpy()
    q, k, v = (vectors @ linear.weight.detach().double().numpy().T for linear in (layer.query, layer.key, layer.value))
    rows = []
    for query in q:
        scores = np.exp([query @ key / np.sqrt(len(query)) for key in k])
        rows.append(sum(s / scores.sum() * value for s, value in zip(scores, v, strict=True)))
    return np.mean(rows, axis=0)


@settings(max_examples=40, deadline=None)
@given(
    counts=st.lists(st.integers(0, 6), min_size=1, max_size=6),
    spare=st.integers(0, 3),
    seed=st.integers(0, 1000),
    small=st.sampled_from([0, attention.SMALL]),
)
def test_pooling_is_eq_5_and_6_over_real_partitions_only(counts: list[int], spare: int, seed: int, small: int) -> None:
    layer, (vectors, memories, mask) = _layer(seed), _memory(counts, max(counts) + spare, seed)
    expected = [_slow(layer, vectors[row[real]].double().numpy()) for row, real in zip(memories, mask, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(attention, "SMALL", small)
        found = layer(vectors, memories, mask).detach().numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_shares_are_a_distribution_over_real_partitions() -> None:
    layer, (vectors, memories, mask) = _layer(), _memory([1, 3], 4)
    found = shares(layer.query(vectors)[memories], layer.key(vectors)[memories], mask)
    torch.testing.assert_close(found.sum(dim=1), torch.ones(2))
    assert found[~mask].eq(0).all()


def test_a_user_without_partitions_gets_a_learned_vector() -> None:
    layer, (vectors, memories, mask) = _layer(), _memory([0, 2], 3)
    torch.testing.assert_close(layer(vectors, memories, mask)[0], layer.nothing)
    torch.testing.assert_close(layer(vectors[:0], memories[:1, :0], mask[:1, :0])[0], layer.nothing)
    layer(vectors, memories, mask).sum().backward()
    assert layer.nothing.grad is not None
    assert layer.nothing.grad.eq(1).all()


def test_gradients_are_finite_and_reach_every_weight_with_users_of_every_kind() -> None:
    layer, (vectors, memories, mask) = _layer(), _memory([0, 1, 4, 0, 2], 4)
    layer(vectors, memories, mask).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_the_order_of_partitions_does_not_matter() -> None:
    layer, (vectors, memories, mask) = _layer(), _memory([4], 4)
    torch.testing.assert_close(layer(vectors, memories.flip(1), mask), layer(vectors, memories, mask))


def test_the_mean_is_that_of_real_partitions_projected() -> None:
    torch.manual_seed(0)
    layer, (vectors, memories, mask) = MeanPooling(5, 3), _memory([0, 1, 3], 4)
    torch.nn.init.normal_(layer.nothing)
    pooled = layer(vectors, memories, mask)
    torch.testing.assert_close(pooled[0], layer.nothing)
    for row in (1, 2):
        torch.testing.assert_close(pooled[row], layer.value.weight @ vectors[memories[row][mask[row]]].mean(dim=0))
    torch.testing.assert_close(layer(vectors[:0], memories[:1, :0], mask[:1, :0])[0], layer.nothing)


def _target(seed: int = 0, v: int = 5, d: int = 3) -> TargetAttention:
    torch.manual_seed(seed)
    layer = TargetAttention(v, d)
    torch.nn.init.normal_(layer.nothing)
    return layer


def _slow_target(layer: TargetAttention, candidate: np.ndarray, vectors: list[np.ndarray]) -> np.ndarray:
    """softmax(c Wq (R Wk)^T / sqrt(d)) R Wv for disliked, then for liked vectors R of one user."""
    value = layer.value.weight.detach().double().numpy()
    d = len(value)
    found = []
    for side, rows in enumerate(vectors):
        query, key = (w.weight.detach().double().numpy()[side * d : (side + 1) * d] for w in (layer.query, layer.key))
        scores = np.exp([(query @ candidate) @ (key @ row) / np.sqrt(d) for row in rows])
        attended = [s / scores.sum() * (value @ row) for s, row in zip(scores, rows, strict=True)]
        found.append(sum(attended) if len(rows) else layer.nothing[side].detach().double().numpy())
    return np.concatenate(found)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(1, 5), partitions=st.integers(0, 4), seed=st.integers(0, 1000))
def test_target_attention_compares_the_candidate_with_real_vectors_only(rows: int, partitions: int, seed: int) -> None:
    layer, generator = _target(seed), torch.Generator().manual_seed(seed)
    candidate, profile = (torch.randn(rows, *shape, generator=generator) for shape in ((5,), (partitions, 2, 5)))
    mask = torch.rand(rows, partitions, 2, generator=generator) < 0.6
    expected = [
        _slow_target(
            layer,
            candidate[row].double().numpy(),
            [profile[row, mask[row, :, side], side].double().numpy() for side in (0, 1)],
        )
        for row in range(rows)
    ]
    found = layer(candidate, profile, mask)
    np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    found.sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in layer.parameters())


def test_liked_and_disliked_vectors_do_not_meet() -> None:
    layer, generator = _target(), torch.Generator().manual_seed(0)
    candidate, profile = torch.randn(1, 5, generator=generator), torch.randn(1, 3, 2, 5, generator=generator)
    mask = torch.ones(1, 3, 2, dtype=torch.bool)
    moved = profile.clone()
    moved[:, :, 1] += 1  # liked
    before, after = layer(candidate, profile, mask), layer(candidate, moved, mask)
    torch.testing.assert_close(after[:, :3], before[:, :3], rtol=0, atol=0)
    assert (after[:, 3:] != before[:, 3:]).any()
