import torch

from liber_tasks.backbones.layers import MLP, FieldEmbedding, ItemEmbedding


def test_fields_are_embedded_side_by_side_in_order() -> None:
    layer = FieldEmbedding([3, 4], 2)
    out = layer(torch.tensor([[2, 3]]))
    assert out.tolist() == [[*layer.tables[0].weight[2].tolist(), *layer.tables[1].weight[3].tolist()]]  # type: ignore[index, union-attr]


def test_an_item_is_its_id_plus_the_mean_of_its_genres() -> None:
    layer = ItemEmbedding(3, 4, 2)
    genres = layer.genres.weight.T
    out = layer(torch.tensor([1, 2]), torch.tensor([[0.5, 0, 0.5, 0], [0, 0, 0, 0]]))
    torch.testing.assert_close(out[0], layer.ids.weight[1] + (genres[0] + genres[2]) / 2)
    torch.testing.assert_close(out[1], layer.ids.weight[2])


def test_a_widened_mlp_is_the_same_function_until_it_learns() -> None:
    mlp, inputs, extra = MLP(5, [4, 3]), torch.randn(7, 5), torch.randn(7, 2)
    before = mlp(inputs)
    mlp.widen(2)
    torch.testing.assert_close(mlp(torch.cat([inputs, extra], dim=1)), before)
    mlp(torch.cat([inputs, extra], dim=1)).sum().backward()
    assert mlp.hidden[0].weight.grad[:, 5:].abs().sum() > 0  # type: ignore[union-attr, index]
