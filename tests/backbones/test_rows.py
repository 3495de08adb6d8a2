import pytest
import torch

from liber_tasks.backbones.rows import sum_rows, take


@pytest.mark.parametrize("shape", [(40,), (6, 5), (0,)])
def test_rows_taken_have_the_values_and_gradients_of_an_embedding(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    index = torch.randint(0, 7, shape)  # row 7 is never taken
    ours, plain = (torch.arange(24.0).view(8, 3).requires_grad_() for _ in range(2))
    weight = torch.randn(*shape, 3)
    taken, expected = take(ours, index), torch.nn.functional.embedding(index, plain)
    torch.testing.assert_close(taken, expected, rtol=0, atol=0)
    (taken * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad)


@pytest.mark.parametrize("count", [[2, 0, 3, 1], [0, 6, 0, 0], [0, 0, 0, 0]])
def test_sums_of_rows_have_the_values_and_gradients_of_adding_them_one_by_one(count: list[int]) -> None:
    torch.manual_seed(0)
    index = torch.randint(0, 4, (sum(count),))  # row 4 is never summed
    ours, plain = (torch.randn(5, 3, generator=torch.Generator().manual_seed(1)).requires_grad_() for _ in range(2))
    weight = torch.randn(4, 3)
    summed = sum_rows(ours, index, torch.tensor(count))
    expected = torch.stack([plain[part].sum(dim=0) for part in index.split(count)])
    torch.testing.assert_close(summed, expected)
    (summed * weight).sum().backward()
    (expected * weight).sum().backward()
    torch.testing.assert_close(ours.grad, plain.grad)
