"""Plays, purchases and other scales of ratings in samples, explanations and controls: by the pack's rule."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError
from liber_tasks.evaluation.sources import with_vectors
from liber_tasks.explain import explain
from liber_tasks.fusion.options import TARGET_ATTENTION, WORDS
from liber_tasks.training.dataset import Dataset
from liber_tasks.training.load import load
from tests.encoder.conftest import tiny_bert  # noqa: F401
from tests.serving.world import add_text_vectors
from tests.training.data import SMALL, as_plays, fill, pack_with

MUSIC = {"domain": "music"}


def _samples(engine: Engine, settings: Settings, **changes: Any) -> Dataset:
    return load(engine, settings.model_copy(update=changes), (TARGET_ATTENTION, WORDS))


def test_plays_with_and_without_a_duration_give_what_ratings_give(engine: Engine, settings: Settings) -> None:
    fill(engine)
    add_text_vectors(engine)
    rated = _samples(engine, settings)
    as_plays(engine)
    with pytest.raises(
        InputError, match=r"0 ratings to train and 0 to test: .*LIBER_DOMAIN\) has a table \[feedback\]"
    ):
        _samples(engine, settings)  # by the pack "movies" plays say nothing
    played = _samples(engine, settings, **MUSIC)
    for name in ("label", "profiles", "profile_mask", "history", "closed", "user", "item", "part"):
        assert torch.equal(getattr(played, name), getattr(rated, name)), name
    assert played.profile_mask.any(dim=0).all()
    assert 0 < played.label.mean() < 1
    assert set(played.event_response.tolist()) == {1, 3}  # a like and a dislike, not the strongest
    assert json.loads(played.feedback or "")["play_share"] == 0.5
    assert played.config("din", (), SMALL).feedback == played.feedback
    assert rated.feedback is None


def test_a_shops_purchases_are_liked_and_clicks_say_what_the_pack_says(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    fill(engine)
    add_text_vectors(engine)
    rated = _samples(engine, settings)
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.behavior SET rating = NULL, kind = CASE WHEN rating > 3 THEN "
                                "'purchase'::liber.behavior_kind ELSE 'click' END"))  # fmt: skip
    shop = pack_with(tmp_path, 'liked = ["purchase"]\ndisliked = ["click"]')
    both = _samples(engine, settings, domain=shop)
    assert torch.equal(both.label, rated.label)
    assert torch.equal(both.profiles, rated.profiles)
    bought = _samples(engine, settings, domain=pack_with(tmp_path, 'liked = ["purchase"]'))
    assert bought.label.eq(1).all()
    assert len(bought.label) == rated.label.sum()
    assert torch.equal(bought.profile_mask[:, 1], rated.profile_mask[:, 1])
    assert not bought.profile_mask[:, 0].any()


def test_ratings_of_another_scale_are_five_levels_by_the_packs_bounds(
    engine: Engine, settings: Settings, tmp_path: Path
) -> None:
    fill(engine)
    add_text_vectors(engine)
    rated = _samples(engine, settings)
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.behavior SET rating = 2 * rating"))
    of_ten = _samples(engine, settings, domain=pack_with(tmp_path, "rating_levels = [2, 4, 6, 8]"))
    assert torch.equal(of_ten.label, rated.label)
    assert torch.equal(of_ten.event_response, rated.event_response)
    assert of_ten.digest == rated.digest


def test_what_is_played_at_or_after_a_sample_moves_nothing_it_sees(engine: Engine, settings: Settings) -> None:
    fill(engine)
    add_text_vectors(engine)
    as_plays(engine)
    before = _samples(engine, settings, **MUSIC)
    with engine.begin() as connection:
        moment = connection.execute(
            text("SELECT percentile_disc(0.6) WITHIN GROUP (ORDER BY event_time) FROM liber.behavior")
        ).scalar_one()
        changed = connection.execute(
            text("UPDATE liber.behavior SET play_seconds = 290 - play_seconds WHERE event_time >= :at"), {"at": moment}
        )  # fmt: skip
        times = connection.execute(text("SELECT event_time FROM liber.behavior ORDER BY user_key, event_time, seq"))
        until = torch.tensor([time <= moment for time in times.scalars()])
    after = _samples(engine, settings, **MUSIC)
    assert changed.rowcount > 100
    assert not torch.equal(after.event_response, before.event_response)
    for row in until.nonzero().flatten().tolist():
        (start, end), (opened, closed) = before.history[row].tolist(), before.closed[row].tolist()
        assert before.history[row].tolist() == after.history[row].tolist()
        assert torch.equal(before.event_response[start:end], after.event_response[start:end])
        assert torch.equal(before.profiles[opened:closed], after.profiles[opened:closed])
        assert torch.equal(before.dense[row], after.dense[row])


def test_explanations_and_controls_read_plays_as_the_samples_do(
    engine: Engine,
    settings: Settings,
    tiny_bert: Path,  # noqa: F811
) -> None:
    fill(engine)
    add_text_vectors(engine)
    settings = settings.model_copy(update={"encoder": str(tiny_bert)})
    rated, said = load(engine, settings), explain(engine, settings, "u1", "i4")
    genres = with_vectors(engine, settings, rated, "genres").vectors
    as_plays(engine)
    music = settings.model_copy(update=MUSIC)
    played = load(engine, music)
    assert explain(engine, music, "u1", "i4").partitions == said.partitions
    assert any(each.liked for each in said.partitions)
    assert torch.equal(with_vectors(engine, music, played, "genres").vectors, genres)


def test_a_database_without_the_function_says_what_to_do(engine: Engine, settings: Settings) -> None:
    fill(engine)
    with engine.begin() as connection:
        connection.execute(text("DROP FUNCTION liber.implied_rating"))
    with pytest.raises(LiberError, match="lacks a function of this release: run `liber init-db`"):
        load(engine, settings)
