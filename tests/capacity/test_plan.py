"""What a plan promises whatever is put in."""

import gzip
import json
from dataclasses import asdict
from pathlib import Path
from statistics import mean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.capacity.inputs import Inputs
from liber_tasks.capacity.plan import YEARS, Plan, plan
from liber_tasks.capacity.rows import TEXT_PER_TOKEN

TEXTS = Path(__file__).parents[1] / "texts" / "movielens-100k.smollm2-135m.jsonl.gz"
BASE = Inputs()
LARGE = Inputs(users=1e8, new_items=5_000, requests_per_second=10_000)  # where a GPU or a process more is not much
RISING = ("users", "active_share", "events_per_user", "items", "new_items", "summary_tokens_in", "summary_tokens_out",
          "shift_tokens_in", "shift_tokens_out", "item_tokens_in", "item_tokens_out", "gpu_hour", "core_hour",
          "gb_month", "backup_gb_month", "peak", "requests_per_second", "training_runs", "training_days",
          "full_backups", "wal_days", "vector_dimension")  # fmt: skip
FALLING = ("prompt_rate", "output_rate", "cached_share")
platforms = st.fixed_dictionaries(
    {
        "users": st.floats(1, 1e9), "active_share": st.floats(0, 1), "events_per_user": st.floats(0, 500),
        "partition_k": st.integers(1, 200), "spread": st.floats(0.3, 10), "items": st.floats(0, 1e8),
        "new_items": st.floats(0, 1e5), "text_days": st.none() | st.floats(0, 2_000),
    }
)  # fmt: skip


def numbers(made: Plan) -> dict[str, float]:
    """Everything a plan says, by its path."""
    found: dict[str, float] = {f"day {name}": value for name, value in asdict(made.day).items()}
    found |= {"wal": made.wal_bytes, "month": made.month.total}
    for each in made.growth:
        found |= {f"{each.years} {name}": size for name, size in each.stored.bytes.items()}
        found |= {f"{each.years} calls": each.stored.calls, f"{each.years} gpu": each.gpu_hours,
                  f"{each.years} backups": each.backup_bytes}  # fmt: skip
    return found


@pytest.mark.parametrize("name", RISING)
@given(factor=st.floats(1, 5))
@settings(max_examples=3, deadline=None)
def test_more_of_an_input_never_needs_less(name, factor):
    value = getattr(LARGE, name)
    more = min(value * factor, 1) if name == "active_share" else type(value)(value * factor)
    before, after = numbers(plan(LARGE)), numbers(plan(LARGE.model_copy(update={name: more})))
    shares = ("day gpu_use", "day calls_per_active_user")
    assert all(after[key] >= before[key] * (1 - 1e-9) for key in before if key not in shares)
    if more > value * 1.1:  # a count rises by whole steps
        assert after != before


@pytest.mark.parametrize("name", FALLING)
def test_a_faster_server_or_a_warmer_cache_needs_fewer_gpu_hours(name):
    more = BASE.model_copy(update={name: getattr(BASE, name) * 2 or 0.5})
    assert plan(more).day.gpu_hours < plan(BASE).day.gpu_hours
    assert plan(more).growth == tuple(
        type(each)(each.years, each.stored, other.gpu_hours, each.backup_bytes)
        for each, other in zip(plan(BASE).growth, plan(more).growth, strict=True)
    )


@given(platforms)
@settings(max_examples=15, deadline=None)
def test_calls_are_two_a_partition_less_one_a_user_who_has_any(given_values):
    for each in plan(Inputs(**given_values)).growth:
        found = each.stored
        assert found.calls == pytest.approx(2 * found.partitions - found.learnt_users)
        assert found.learnt_users <= min(found.partitions * (1 + 1e-6) + 1e-6, given_values["users"])


@given(platforms, st.floats(1, 50))
@settings(max_examples=15, deadline=None)
def test_so_many_times_the_users_and_items_need_so_many_times_everything_that_is_no_whole_machine(values, times):
    scaled = values | {name: values[name] * times for name in ("users", "items", "new_items")}
    one, many = plan(Inputs(**values)), plan(Inputs(**scaled))
    for name in ("behaviors", "partitions", "summary_calls", "item_calls", "prompt_tokens", "gpu_hours",
                 "encoder_cpu_hours", "database_cpu_hours", "training_cpu_hours"):  # fmt: skip
        assert getattr(many.day, name) == pytest.approx(times * getattr(one.day, name), rel=1e-6)
    assert many.wal_bytes == pytest.approx(times * one.wal_bytes, rel=1e-6)
    for few, more in zip(one.growth, many.growth, strict=True):
        assert more.stored.total == pytest.approx(times * few.stored.total, rel=1e-6)


@given(platforms)
@settings(max_examples=15, deadline=None)
def test_nothing_is_negative_and_the_years_only_add(values):
    made = plan(Inputs(**values))
    assert all(value >= 0 for value in numbers(made).values())
    totals = [each.stored.total for each in made.growth]
    assert [each.years for each in made.growth] == list(YEARS)
    assert totals == sorted(totals)


def test_without_users_and_items_there_is_nothing_at_all():
    made = plan(Inputs(users=0, items=0, new_items=0))
    assert set(numbers(made).values()) == {0}


def test_gpus_do_a_days_work_in_a_day():
    made = plan(Inputs(users=50_000_000)).day
    assert made.gpus > 1
    assert made.gpu_hours <= made.gpus * 24 * BASE.utilisation
    assert made.gpu_hours > (made.gpus - 1) * 24 * BASE.utilisation
    assert made.gpus_at_peak * 24 >= made.gpu_hours * BASE.peak


def test_a_plan_of_one_user_by_hand():
    made = plan(
        Inputs(
            users=1, active_share=1, events_per_user=40, partition_k=20, items=0, new_items=0, summary_tokens_in=700,
            summary_tokens_out=40, shift_tokens_in=200, shift_tokens_out=30, prompt_rate=900, output_rate=70,
        )
    ).day  # fmt: skip
    assert (made.behaviors, made.partitions, made.summary_calls, made.shift_calls) == (40, 2, 2, 2)
    assert (made.prompt_tokens, made.answer_tokens, made.calls_per_active_user) == (1800, 140, 4)
    assert made.gpu_hours * 3600 == pytest.approx(1800 / 900 + 140 / 70)


def test_texts_whose_time_is_over_take_no_room():
    kept, brief = (plan(Inputs(text_days=days)).growth[-1].stored.bytes for days in (None, 365))
    assert brief["interest"] < kept["interest"]
    assert {name: size for name, size in brief.items() if name != "interest"} == {
        name: size for name, size in kept.items() if name != "interest"
    }


def test_the_default_tokens_are_those_that_the_embedded_server_counted():
    with gzip.open(TEXTS, "rt", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines][1:]
    for kind in ("summary", "shift"):
        those = [row for row in rows if row["kind"] == kind]
        assert getattr(BASE, f"{kind}_tokens_in") == round(mean(row["prompt_tokens"] for row in those))
        assert getattr(BASE, f"{kind}_tokens_out") == round(mean(row["completion_tokens"] for row in those))
    per_token = sum(len(row["text"]) for row in rows) / sum(row["completion_tokens"] for row in rows)
    assert per_token == pytest.approx(TEXT_PER_TOKEN, abs=0.1)
