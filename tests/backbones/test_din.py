"""DIN's attention unit; its logits are in test_by_name."""

import torch

from liber_tasks.backbones.din import AttentionUnit


def test_activation_weights_are_not_normalised() -> None:
    unit, key = AttentionUnit(4), torch.randn(1, 1, 4)
    once = unit(torch.ones(1, 4), key, torch.ones(1, 1, dtype=torch.bool))
    twice = unit(torch.ones(1, 4), key.expand(1, 2, 4), torch.ones(1, 2, dtype=torch.bool))
    torch.testing.assert_close(twice, 2 * once)


def test_an_empty_history_pools_to_zero() -> None:
    unit, mask = AttentionUnit(4), torch.zeros(2, 3, dtype=torch.bool)
    assert unit(torch.randn(2, 4), torch.randn(2, 3, 4), mask).eq(0).all()
    assert unit(torch.randn(2, 4), torch.randn(2, 0, 4), mask[:, :0]).eq(0).all()
