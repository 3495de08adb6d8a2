from dataclasses import replace

import pytest
import torch

from liber_tasks.backbones.by_name import BACKBONES
from liber_tasks.errors import InputError
from liber_tasks.fusion.model import ModelConfig, build
from tests.backbones.batches import MEMORIES, config, random_batch, vocabulary


def test_a_configuration_survives_its_dictionary() -> None:
    assert ModelConfig.from_dict(config().to_dict()) == config()


def test_a_model_of_another_format_is_refused_with_what_to_do() -> None:
    with pytest.raises(InputError, match=r"format 0.*liber train"):
        ModelConfig.from_dict({**config().to_dict(), "format": 0})


def test_an_unknown_backbone_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"'dni'.*din"):
        build(replace(config(), backbone="dni"), vocabulary())


@pytest.mark.parametrize("backbone", sorted(BACKBONES))
def test_a_fused_vector_may_be_shorter_than_an_embedding(backbone: str) -> None:
    batch = random_batch()
    for fused_size, length in ((None, config().embedding_size), (2, 2)):
        model = build(replace(config(backbone=backbone), fused_size=fused_size), vocabulary())
        assert model.fused(batch.vectors, batch.memories, batch.memories_mask).shape == (MEMORIES, length)
        bare = build(config("none", backbone), vocabulary())
        bare.backbone.load_state_dict(
            {
                name: model.backbone.state_dict()[name][tuple(slice(n) for n in weight.shape)]
                for name, weight in bare.backbone.state_dict().items()
            }
        )
        torch.testing.assert_close(model.eval()(batch).logits, bare.eval()(batch).logits)


def test_a_configuration_from_before_fused_vectors_had_a_length_of_their_own_still_fits() -> None:
    values = config().to_dict()
    assert values.pop("fused_size") is None
    assert ModelConfig.from_dict(values) == config()
