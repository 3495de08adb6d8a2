from dataclasses import replace

import torch
from safetensors.torch import load, save

from liber_tasks.fusion.combine import LiberModel
from liber_tasks.fusion.model import build
from tests.backbones.batches import config, random_batch, select, vocabulary


def _models() -> tuple[torch.nn.Module, LiberModel]:
    torch.manual_seed(3)
    base = build(config("none"), vocabulary()).eval()
    torch.manual_seed(3)
    liber = build(config("liber"), vocabulary()).eval()
    assert isinstance(liber, LiberModel)
    return base, liber


def test_a_fresh_model_with_memory_is_the_backbone() -> None:
    base, liber = _models()
    torch.testing.assert_close(liber(random_batch()), base(random_batch()))


def test_without_any_partition_training_leaves_the_memory_inert() -> None:
    base, liber = _models()
    batch = replace(random_batch(), memory_mask=torch.zeros_like(random_batch().memory_mask))
    for model in (base, liber):
        optimizer = torch.optim.SGD(model.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            model(batch).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(liber(random_batch()), base(random_batch()))


def test_the_fused_vector_is_one_more_input_of_the_mlp() -> None:
    _, liber = _models()
    batch = random_batch()
    torch.nn.init.normal_(liber.backbone.mlp.hidden[0].weight)  # type: ignore[attr-defined]
    seen: list[torch.Tensor] = []
    liber.backbone.mlp.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))  # type: ignore[attr-defined]
    liber(batch)
    torch.testing.assert_close(seen[0][:, -4:], liber.fusion(batch.memory, batch.memory_mask))


def test_memory_changes_the_score_once_its_columns_have_weight() -> None:
    _, liber = _models()
    torch.nn.init.normal_(liber.backbone.mlp.hidden[0].weight)  # type: ignore[attr-defined]
    batch = random_batch()
    moved = replace(batch, memory=2 * batch.memory)
    changed = (liber(moved) - liber(batch)).abs() > 1e-7
    assert changed.tolist() == batch.memory_mask.any(dim=1).tolist()


def test_a_sample_scores_the_same_alone_and_in_any_batch() -> None:
    _, liber = _models()
    torch.nn.init.normal_(liber.backbone.mlp.hidden[0].weight)  # type: ignore[attr-defined]
    batch = random_batch()
    alone = torch.cat([liber(select(batch, [row])) for row in range(len(batch))])
    torch.testing.assert_close(alone, liber(batch))


def test_saved_and_loaded_weights_score_the_same() -> None:
    _, liber = _models()
    liber.scale.fill_(3.0)
    torch.nn.init.normal_(liber.backbone.mlp.hidden[0].weight)  # type: ignore[attr-defined]
    torch.manual_seed(9)
    other = build(config("liber"), vocabulary()).eval()
    other.load_state_dict(load(save(liber.state_dict())))
    torch.testing.assert_close(other(random_batch()), liber(random_batch()), rtol=0, atol=0)
