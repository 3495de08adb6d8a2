"""Inference is timed in turns, on the samples that cost LIBER most."""

import pytest
import torch

from liber_tasks.evaluation import speed
from liber_tasks.evaluation.speed import WARM_UP, WHATS, measure
from liber_tasks.fusion.model import build
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.parts import TEST
from tests.training.data import SMALL


def test_each_backbone_has_a_row_for_each_way_of_timing(dataset: Dataset) -> None:
    told: list[int] = []
    threads = torch.get_num_threads()
    found = measure(dataset, ("din", "dcnv2"), lambda _: SMALL, rounds=3, progress=lambda done, *_: told.append(done))
    assert [(each.backbone, each.what) for each in found] == [
        (backbone, what) for backbone in ("din", "dcnv2") for what in WHATS
    ]
    assert told == [0, 1, 2]
    assert torch.get_num_threads() == threads
    for each in found:
        assert each.base_ms > 0
        assert each.liber_ms > 0
        assert each.ratio_low <= each.ratio <= each.ratio_high


def test_who_is_first_changes_from_round_to_round() -> None:
    calls: list[str] = []
    times = speed._in_turns(lambda: calls.append("base"), lambda: calls.append("liber"), 4)
    assert times.shape == (4, 2)
    pairs = [tuple(calls[start : start + 2]) for start in range(0, len(calls), 2)]
    assert len(pairs) == 4 + WARM_UP
    assert pairs[WARM_UP:] in (
        [("base", "liber"), ("liber", "base")] * 2,
        [("liber", "base"), ("base", "liber")] * 2,
    )


def test_samples_with_a_vector_are_timed_when_they_are_enough(
    dataset: Dataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = dataset.rows(TEST)
    with_vector = rows[dataset.with_vector(rows)]
    assert 0 < len(with_vector) < len(rows)
    assert torch.equal(speed._samples(dataset), rows)
    monkeypatch.setattr(speed, "SAMPLES", len(with_vector))
    assert torch.equal(speed._samples(dataset), with_vector)
    monkeypatch.setattr(speed, "SAMPLES", 5)
    assert len(speed._samples(dataset)) == 5


def test_a_ranking_request_repeats_one_sample_for_all_its_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed, "CANDIDATES", 4)
    found = speed._ranking(torch.arange(10) * 7)
    assert found.tolist() == [0] * 4 + [28] * 4 + [63] * 2


def test_fused_before_the_model_fuses_nothing(dataset: Dataset) -> None:
    config = dataset.config("dcn", ("pooled",), SMALL)
    model = build(config, dataset.vocabulary).eval()
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.3)
    batch = dataset.batch(dataset.rows(TEST), config)
    fused = speed._fused(model, config, batch)
    torch.testing.assert_close(model(fused).logits, model(batch).logits, rtol=0, atol=0)
    model.fusion = torch.nn.Identity()  # takes one argument: fusing would fail
    assert model(fused).logits.isfinite().all()
