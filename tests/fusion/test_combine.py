from dataclasses import replace

import pytest
import torch
from safetensors.torch import load, save

from liber_tasks.backbones.batch import Batch
from liber_tasks.fusion.combine import LiberModel
from liber_tasks.fusion.model import build
from liber_tasks.fusion.options import DENSE as OF_DENSE
from liber_tasks.fusion.options import GENRE, MEAN, OPTIONS, POOLED
from tests.backbones.batches import DENSE, MEMORIES, TEXT, VECTOR, config, random_batch, select, vocabulary

EVERY = tuple(name for name in OPTIONS if name != MEAN)  # the two poolings exclude each other
DENSE_NAMES = tuple(f"{GENRE}.{n}" for n in range(DENSE))


def _model(*options: str, seed: int = 3) -> LiberModel:
    torch.manual_seed(seed)
    sizes = {"vector_size": VECTOR, "profile_size": TEXT, "dense": DENSE_NAMES if set(options) & set(OF_DENSE) else ()}
    return build(replace(config("none"), options=options, **sizes), vocabulary()).eval()


def _models(*options: str) -> tuple[LiberModel, LiberModel]:
    return _model(), _model(*(options or (POOLED,)))


def _fused(model: LiberModel, batch: Batch) -> torch.Tensor:
    return model.fused(batch.vectors, batch.memories, batch.memories_mask)


each_option = pytest.mark.parametrize("options", [(name,) for name in OPTIONS] + [EVERY], ids="+".join)


@each_option
def test_a_fresh_model_with_memory_is_the_backbone(options: tuple[str, ...]) -> None:
    base, liber = _models(*options)
    torch.testing.assert_close(liber(random_batch()).logits, base(random_batch()).logits)


def test_without_any_partition_training_leaves_the_memory_inert() -> None:
    base, liber = _models()
    batch = replace(random_batch(), memories_mask=torch.zeros_like(random_batch().memories_mask))
    for model in (base, liber):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(batch).logits.square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(liber(random_batch()).logits, base(random_batch()).logits)


def test_the_fused_vector_is_one_more_input_of_the_mlp() -> None:
    _, liber = _models()
    batch = random_batch()
    torch.nn.init.normal_(liber.backbone.mlp.hidden[0].weight)  # type: ignore[attr-defined]
    seen: list[torch.Tensor] = []
    liber.backbone.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[attr-defined]
    liber(batch)
    torch.testing.assert_close(seen[0][:, -4:], _fused(liber, batch)[batch.memory_of])


@pytest.mark.parametrize("options", [(POOLED,), (MEAN,), EVERY], ids="+".join)
def test_memories_that_were_fused_before_score_the_same(options: tuple[str, ...]) -> None:
    _, liber = _models(*options)
    for parameter in liber.parameters():
        torch.nn.init.normal_(parameter)
    liber.scale.fill_(3.0)
    batch = random_batch()
    nothing = torch.zeros(MEMORIES, 0, dtype=torch.int64)
    fused = replace(batch, fused=_fused(liber, batch), vectors=batch.vectors[:0], memories=nothing,
                    memories_mask=nothing.bool())  # fmt: skip
    torch.testing.assert_close(liber(fused).logits, liber(batch).logits, rtol=0, atol=0)
    torch.testing.assert_close(liber(select(fused, [4, 1])).logits, liber(batch).logits[[4, 1]], rtol=1e-5, atol=1e-6)


def test_memory_changes_the_score_once_its_columns_have_weight() -> None:
    _, liber = _models()
    torch.nn.init.normal_(liber.backbone.mlp.hidden[0].weight)  # type: ignore[attr-defined]
    batch = random_batch()
    moved = replace(batch, vectors=2 * batch.vectors)
    changed = (liber(moved).logits - liber(batch).logits).abs() > 1e-7
    assert changed.tolist() == batch.memories_mask[batch.memory_of].any(dim=1).tolist()


@each_option
def test_a_sample_scores_the_same_alone_and_in_any_batch(options: tuple[str, ...]) -> None:
    _, liber = _models(*options)
    torch.nn.init.normal_(liber.backbone.mlp.hidden[0].weight)  # type: ignore[attr-defined]
    batch = random_batch()
    alone = torch.cat([liber(select(batch, [row])).logits for row in range(len(batch))])
    torch.testing.assert_close(alone, liber(batch).logits)


@each_option
def test_a_gradient_reaches_every_parameter(options: tuple[str, ...]) -> None:
    _, liber = _models(*options)
    for parameter in liber.parameters():
        torch.nn.init.normal_(parameter)
    liber(random_batch(rows=24)).logits.square().sum().backward()
    assert [name for name, p in liber.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0] == []


def test_dense_features_are_standardised_by_what_training_saw() -> None:
    _, liber = _models(GENRE)
    batch = random_batch()
    torch.nn.init.normal_(liber.backbone.mlp.hidden[0].weight)  # type: ignore[attr-defined, union-attr, index]
    scaled = replace(batch, dense=batch.dense * 5 + 2)
    before = liber(batch).logits
    liber.dense_mean.fill_(2.0)
    liber.dense_scale.fill_(1 / 5)
    torch.testing.assert_close(liber(scaled).logits, before)


@each_option
def test_saved_and_loaded_weights_score_the_same(options: tuple[str, ...]) -> None:
    _, liber = _models(*options)
    for buffer in (liber.scale, liber.dense_mean, liber.dense_scale):
        buffer.fill_(3.0)
    torch.nn.init.normal_(liber.backbone.mlp.hidden[0].weight)  # type: ignore[attr-defined]
    other = _model(*options, seed=9)
    other.load_state_dict(load(save(liber.state_dict())))
    torch.testing.assert_close(other(random_batch()).logits, liber(random_batch()).logits, rtol=0, atol=0)
