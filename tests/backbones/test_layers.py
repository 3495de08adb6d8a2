import torch

from liber_tasks.backbones.layers import FieldEmbedding, ItemEmbedding


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
