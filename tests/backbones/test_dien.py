"""DIEN's recurrences and its auxiliary loss; its logits are in test_by_name."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.backbones.batch import Output
from liber_tasks.backbones.dien import DIEN
from liber_tasks.backbones.packed import pack
from liber_tasks.backbones.recurrence import Recurrence
from tests.backbones.batches import SIZES, random_batch, select
from tests.backbones.reference import auxiliary_loss, weights_of
from tests.backbones.test_by_name import make


def _dien(weight: float = 0.5) -> DIEN:
    torch.manual_seed(0)
    model = DIEN(SIZES, embedding_size=4, hidden=(8, 5), auxiliary_weight=weight)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return model.train()


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(1, 6), history=st.integers(0, 7), seed=st.integers(0, 1000))
def test_the_auxiliary_loss_is_that_of_the_published_formula(rows: int, history: int, seed: int) -> None:
    model, batch = _dien(weight=0.25), random_batch(rows, history, seed=seed)
    assert model(batch).auxiliary.item() == pytest.approx(0.25 * auxiliary_loss(weights_of(model), batch), rel=1e-4)


def test_there_is_no_auxiliary_loss_outside_training() -> None:
    model, batch = _dien(), random_batch()
    assert model(replace(batch, negatives=None)).auxiliary is None
    assert model.eval()(batch).auxiliary is None
    assert _dien(weight=0.0)(batch).auxiliary is None


def test_the_auxiliary_loss_leaves_the_logits_alone() -> None:
    model, batch = _dien(), random_batch()
    torch.testing.assert_close(model(batch).logits, model(replace(batch, negatives=None)).logits, rtol=0, atol=0)


def test_negatives_of_padding_and_of_the_first_behaviour_do_not_matter() -> None:
    model, batch = _dien(), random_batch()
    assert batch.negatives is not None
    first = batch.history_mask & (batch.history_mask.cumsum(1) == 1)
    other = replace(batch, negatives=torch.where(batch.history_mask & ~first, batch.negatives, 3))
    torch.testing.assert_close(model(other).auxiliary, model(batch).auxiliary, rtol=0, atol=0)


def test_a_history_of_one_behaviour_has_nothing_to_predict() -> None:
    model, batch = _dien(), random_batch(rows=6, history=5)
    assert batch.history_mask.sum(1).tolist()[:2] == [0, 1]
    output: Output = model(select(batch, [0, 1]))
    assert output.auxiliary is not None
    assert output.auxiliary.item() == 0


def test_the_sign_of_a_behaviour_does_not_give_it_away_as_real() -> None:
    model, batch = _dien(), random_batch()
    with torch.no_grad():
        model.extractor.input.weight.zero_()  # the states see no responses any more
    other = replace(batch, entry_response=(batch.entry_response + 1) % 6)
    torch.testing.assert_close(model(other).auxiliary, model(batch).auxiliary, rtol=0, atol=0)


def test_all_attention_makes_augru_a_gru_and_none_makes_it_stand_still() -> None:
    torch.manual_seed(0)
    layer, inputs, sizes = Recurrence(4), torch.randn(9, 4), (4, 3, 2)
    torch.testing.assert_close(layer(inputs, sizes, attention=torch.ones(9)), layer(inputs, sizes))
    assert layer(inputs, sizes, attention=torch.zeros(9)).eq(0).all()


def test_the_gru_is_pytorchs() -> None:
    torch.manual_seed(0)
    layer, theirs, inputs = Recurrence(4), torch.nn.GRU(4, 4), torch.randn(7, 4)
    reset, update, new = layer.input.weight.chunk(3)
    of_state = layer.state.chunk(3)
    bias = layer.input.bias.chunk(3)
    with torch.no_grad():  # theirs keeps the share z of the old state, ours takes u = 1 - z of the new one
        theirs.weight_ih_l0.copy_(torch.cat([reset, -update, new]))
        theirs.weight_hh_l0.copy_(torch.cat([of_state[0], -of_state[1], of_state[2]]))
        theirs.bias_ih_l0.copy_(torch.cat([bias[0], -bias[1], bias[2]]))
        theirs.bias_hh_l0.zero_()
    torch.testing.assert_close(layer(inputs, (1,) * 7), theirs(inputs)[0])


@pytest.mark.parametrize("attended", [False, True])
def test_written_gradients_are_those_of_finite_differences(attended: bool) -> None:
    from liber_tasks.backbones.recurrence import _Recurrence

    g = torch.Generator().manual_seed(0)
    sizes = (4, 3, 3, 1)
    inputs = torch.randn(11, 9, generator=g, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(9, 3, generator=g, dtype=torch.float64, requires_grad=True)
    attention = torch.rand(11, generator=g, dtype=torch.float64, requires_grad=True) if attended else None
    assert torch.autograd.gradcheck(lambda i, a, w: _Recurrence.apply(i, a, w, sizes), (inputs, attention, weight))


@settings(max_examples=50, deadline=None)
@given(lengths=st.lists(st.integers(0, 6), max_size=6), padding=st.integers(0, 2))
def test_packing_walks_each_history_once_from_the_oldest(lengths: list[int], padding: int) -> None:
    width = max(lengths, default=0) + padding
    mask = torch.arange(width).expand(len(lengths), -1) >= width - torch.tensor(lengths, dtype=torch.int64).unsqueeze(1)
    packed = pack(mask)
    places = list(zip(packed.row.tolist(), packed.column.tolist(), strict=True))
    assert sorted(places) == [tuple(place) for place in mask.nonzero().tolist()]
    assert list(packed.sizes) == sorted(packed.sizes, reverse=True)
    assert sum(packed.sizes) == len(places)
    for row, last in enumerate(packed.last.tolist()):
        assert last == -1 if not lengths[row] else places[last] == (row, width - 1)
    first = packed.sizes[0] if packed.sizes else 0
    for number, before in enumerate(packed.previous().tolist(), start=first):
        assert places[before] == (places[number][0], places[number][1] - 1)


def test_every_position_of_a_history_bears_on_the_score() -> None:
    model, batch = make("dien"), select(random_batch(), [5])
    for position in range(batch.history.shape[1]):
        history = batch.history.clone()
        history[0, position] = (history[0, position] + 1) % len(batch.entry_item)
        assert model(replace(batch, history=history)).logits != model(batch).logits
