import pytest
import torch
from torch import nn

from liber_tasks.backbones.activations import Dropout, PReLU


@pytest.mark.parametrize("slope", [0.25, -0.3, 1.7])
def test_prelu_has_the_values_and_gradients_of_torchs(slope: float) -> None:
    torch.manual_seed(0)
    ours, theirs, weight = PReLU(), nn.PReLU(init=slope), torch.randn(5, 4, 3)
    ours.load_state_dict(theirs.state_dict())
    inputs = torch.randn(5, 4, 3)
    inputs[0] = 0
    first, second = (inputs.transpose(0, 1).requires_grad_() for _ in range(2))
    torch.testing.assert_close(ours(first), theirs(second), rtol=0, atol=0)
    found = torch.autograd.grad((ours(first) * weight.transpose(0, 1)).sum(), [first, ours.weight])
    expected = torch.autograd.grad((theirs(second) * weight.transpose(0, 1)).sum(), [second, theirs.weight])
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("p", [0.1, 0.4, 0.9])
def test_dropout_zeroes_a_share_and_keeps_the_mean(p: float) -> None:
    torch.manual_seed(0)
    inputs = torch.ones(401, 1001, requires_grad=True)
    out = Dropout(p)(inputs)
    dropped = out == 0
    assert dropped.float().mean().item() == pytest.approx(p, abs=0.005)  # five standard deviations and more
    assert out[~dropped].unique().item() == pytest.approx(1 / (1 - p), rel=1e-3)
    (gradient,) = torch.autograd.grad(out.sum(), inputs)
    torch.testing.assert_close(gradient, out)


def test_numbers_are_dropped_independently_of_their_neighbours() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.4)(torch.ones(1000, 400)) != 0).float()
    for distance in range(1, 9):  # four of them share one draw
        both = (kept[:, distance:] * kept[:, :-distance]).mean().item()
        assert both == pytest.approx(0.36, abs=0.005)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_dropout_of_nothing_and_of_all(p: float) -> None:
    assert Dropout(p)(torch.ones(7)).eq(1 - p).all()


def test_dropout_rests_outside_training() -> None:
    assert Dropout(0.5).eval()(torch.ones(7)).eq(1).all()
