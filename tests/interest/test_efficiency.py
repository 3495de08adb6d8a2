"""What LIBER costs beside asking the LLM at each behaviour (paper, Table 6): counted, measured, nothing stored."""

import math
import threading
from itertools import pairwise

import pytest
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.errors import InputError, LiberError, ServiceUnavailable
from liber_tasks.interest.learn import learn
from liber_tasks.interest.study.efficiency import efficiency
from liber_tasks.interest.study.efficiency_report import EfficiencyReport
from tests.conftest import free_port
from tests.interest.data import add_user, rows
from tests.interest.efficiency import answering, at, by_name, is_shift
from tests.interest.faults import GOOD, Reply, completion, faulty, llamacpp

TITLES = [f"Film {number:03}" for number in range(1, 61)]


def shown(prompt: str) -> list[str]:
    """Films whose titles the prompt's history lists, in their order in the catalogue."""
    history = prompt.split("\nMean rating")[0]
    return [title for title in TITLES if title in history]


def contents(engine: Engine) -> dict[str, int]:
    """Rows of every table."""
    tables = rows(engine, "SELECT table_name FROM information_schema.tables"
                          " WHERE table_schema = 'liber' AND table_type = 'BASE TABLE'")  # fmt: skip
    return {name: rows(engine, f"SELECT count(*) FROM liber.{name}")[0][0] for (name,) in tables}  # noqa: S608


def test_calls_are_counted_over_the_whole_database(engine: Engine, settings: Settings) -> None:
    partitions = {"a": 4, "b": 2, "c": 1, "d": 0, "e": 3}
    for user_id, count in partitions.items():
        add_user(engine, user_id, count, size=5)
    rows_of = {user_id: 5 * count for user_id, count in partitions.items()}
    with engine.begin() as connection:  # behaviours that are in no partition yet
        for user_id, more in (("a", 3), ("d", 2)):
            connection.execute(
                text(
                    "INSERT INTO liber.behavior (user_key, seq, item_key, event_time, effective_time, kind, event_id)"
                    " SELECT user_key, :before + n, 1, now(), now(), 'play', 'more-' || n"
                    " FROM liber.user_profile, generate_series(1, :more) AS n WHERE user_id = :user_id"
                ),
                {"before": rows_of[user_id], "more": more, "user_id": user_id},
            )
            rows_of[user_id] += more
    with faulty(answering()) as seen:
        found = by_name(efficiency(engine, at(settings, seen), users=1, steps=1))
    behaviors, parts = sum(rows_of.values()), sum(partitions.values())
    shifts = sum(max(0, count - 1) for count in partitions.values())
    counts = {"full": parts + shifts, "no_shift": parts, "length_100": behaviors, "length_20": behaviors}
    assert {name: cost.calls for name, cost in found.items()} == counts
    for name, cost in found.items():
        assert cost.calls_per_user == pytest.approx(counts[name] / 5)
        with_partition = counts[name] - (2 if name.startswith("length") else 0)  # those of "d"
        assert cost.calls_per_partitioned_user == pytest.approx(with_partition / 4)


def test_every_variant_asks_its_own_prompts_and_no_step_shows_a_later_behaviour(
    engine: Engine, settings: Settings
) -> None:
    add_user(engine, "a", 12, size=5, titles=TITLES)  # 60 behaviours
    with faulty(answering()) as seen:
        report = efficiency(engine, at(settings, seen), steps=6)
    summaries = [shown(prompt) for prompt in seen.prompts if not is_shift(prompt)]
    partitions = [TITLES[start : start + 5] for start in range(0, 60, 5)]
    steps = [5, 15, 25, 35, 45, 55]
    whole = [TITLES[:step] for step in steps]
    newest = [TITLES[max(0, step - 20) : step] for step in steps]
    expected = {tuple(titles) for titles in partitions + whole + newest}
    assert {tuple(titles) for titles in summaries} == expected
    assert len(summaries) == len(expected) == 12 + 5 + 4  # steps 5 and 15 are asked alike by several variants
    assert set(seen.prompts.values()) == {1}
    assert report.questions == sum(seen.prompts.values()) == 21 + 11
    assert {name: cost.measured for name, cost in by_name(report).items()} == {
        "full": 23, "no_shift": 12, "length_100": 6, "length_20": 6
    }  # fmt: skip


def test_shifts_show_the_summaries_just_answered_and_follow_both(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 4, size=5, titles=TITLES)
    with faulty(answering()) as seen:
        efficiency(engine, at(settings, seen), steps=1)
    prompts = list(seen.prompts)
    answered = {tuple(shown(prompt)): number for number, prompt in enumerate(prompts) if not is_shift(prompt)}
    numbers = [answered[tuple(TITLES[start : start + 5])] for start in range(0, 20, 5)]
    shifts = {prompt: number for number, prompt in enumerate(prompts) if is_shift(prompt)}
    assert len(shifts) == 3
    for earlier, later in pairwise(numbers):
        pair = f'Earlier: "likes number {earlier}"\nLater: "likes number {later}"'
        (place,) = [number for prompt, number in shifts.items() if pair in prompt]
        assert place > max(earlier, later)


def test_nothing_is_written_and_texts_learnt_before_are_asked_again(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    with faulty(answering()) as seen:
        live = at(settings, seen)
        learn(engine, live)
        before = contents(engine)
        found = by_name(efficiency(engine, live, steps=2))
    assert contents(engine) == before
    assert before["interest"] == found["full"].measured == 5


def test_the_same_seed_draws_the_same_users_and_asks_in_the_same_order(engine: Engine, settings: Settings) -> None:
    for number in range(9):
        add_user(engine, f"user {number}", 1 + number % 3, size=2)

    def run(seed: int, users: int) -> tuple[EfficiencyReport, list[str]]:
        with faulty(lambda *_: Reply(body=completion("likes dramas"))) as seen:
            report = efficiency(engine, at(settings, seen), users=users, steps=1, seed=seed)
        return report, [body["messages"][0]["content"] for body in seen.bodies]

    (first, order), (second, again), (other, another) = run(0, 3), run(0, 3), run(1, 3)
    assert (first.users_sampled, order) == (second.users_sampled, again)
    assert order != another
    assert len(first.users_sampled) == 3
    assert other.users_sampled != first.users_sampled
    assert run(0, 4)[0].users_sampled[:3] == first.users_sampled
    drawn = set(run(0, 100)[0].users_sampled)
    assert drawn == {f"user {number}" for number in range(9) if number % 3}  # with two partitions or more


def test_calls_are_in_random_order_across_variants(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 8, size=5, titles=TITLES)
    with faulty(answering()) as seen:
        efficiency(engine, at(settings, seen), steps=8)
    of_partition = [len(shown(prompt)) == 5 for prompt in seen.prompts if not is_shift(prompt)]
    assert of_partition != sorted(of_partition)
    assert of_partition != sorted(of_partition, reverse=True)


def test_time_per_user_is_the_time_of_a_call_times_the_calls_of_a_user(engine: Engine, settings: Settings) -> None:
    for user_id, partitions in (("a", 4), ("b", 3), ("c", 2)):
        add_user(engine, user_id, partitions)
    with faulty(answering(prompt_tokens_details={"cached_tokens": 4})) as seen:
        report = efficiency(engine, at(settings, seen), steps=3)
    for cost in report.variants:
        assert cost.seconds_per_call is not None
        assert cost.seconds_per_user == pytest.approx(cost.seconds_per_call * cost.calls_per_user)
        assert 0 < (cost.seconds_per_user_error or 0) < cost.seconds_per_user * 3
        assert (cost.tokens_per_prompt, cost.tokens_per_answer) == (pytest.approx(11), pytest.approx(7))
        assert cost.tokens_per_second == pytest.approx(18 / cost.seconds_per_call)
        assert cost.cached_tokens_per_prompt == pytest.approx(4)
    assert report.server == "openai local"


def test_of_one_user_there_is_a_time_and_no_error(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 2)
    with faulty(answering()) as seen:
        report = efficiency(engine, at(settings, seen))
    assert all(cost.seconds_per_user and cost.seconds_per_user_error is None for cost in report.variants)


def test_a_server_that_counts_no_tokens_gives_times_alone(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 2)
    with faulty(answering(prompt_tokens=None, completion_tokens=None)) as seen:
        report = efficiency(engine, at(settings, seen))
    for cost in report.variants:
        assert (cost.tokens_per_prompt, cost.tokens_per_answer, cost.tokens_per_second) == (None, None, None)
        assert cost.seconds_per_user


def test_calls_without_an_answer_are_counted_and_what_depends_on_them_is_not_asked(
    engine: Engine, settings: Settings
) -> None:
    add_user(engine, "a", 4, size=5, titles=TITLES)

    def plan(number: int, prompt: str) -> Reply:
        titles = shown(prompt)
        if titles == TITLES[5:10]:
            return Reply(422, '{"error": "this prompt is refused"}')
        return Reply(500, '{"error": "broken"}') if len(titles) == 20 else answering()(number, prompt)

    with faulty(plan) as seen:
        found = by_name(efficiency(engine, at(settings, seen), steps=20))
    lost = {name: (cost.measured, cost.failed, cost.refused, cost.unasked) for name, cost in found.items()}
    assert lost == {
        "full": (4, 0, 1, 2),  # P_2 is gone, and with it the shifts of P_2 and P_3
        "no_shift": (3, 0, 1, 0),
        "length_100": (19, 1, 0, 0),
        "length_20": (19, 1, 0, 0),
    }
    assert all(cost.seconds_per_user for cost in found.values())


def test_prompts_longer_than_the_server_takes_are_shortened_and_counted(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 12, size=5, titles=TITLES)

    with faulty(answering(), other=llamacpp(context=450, characters=2)) as seen:
        report = efficiency(engine, at(settings, seen, llm_guided=False), steps=3)
    found = by_name(report)
    assert (found["full"].shortened, found["length_20"].shortened) == (0, 0)
    assert found["length_100"].shortened == 2  # of steps 10, 30 and 50
    assert all(len(prompt) // 2 + 40 <= 450 for prompt in seen.prompts)
    assert report.server == "llamacpp m.gguf"


def test_a_bound_on_calls_in_flight_is_kept(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 6)
    for bound in (1, 3):
        together = threading.Event()

        def plan(number: int, _: str, bound: int = bound, together: threading.Event = together) -> Reply:
            if number == bound - 1:
                together.set()
            return Reply(held=together)

        with faulty(plan) as seen:
            efficiency(engine, at(settings, seen), in_flight=bound)
        assert seen.most_in_flight == bound


def test_without_two_partitions_there_is_nothing_to_compare(engine: Engine, settings: Settings) -> None:
    with faulty(answering()) as seen:
        with pytest.raises(InputError, match="two sealed partitions"):
            efficiency(engine, at(settings, seen))
        add_user(engine, "a", 1)
        with pytest.raises(InputError, match="two sealed partitions"):
            efficiency(engine, at(settings, seen))
    assert not seen.prompts


def test_a_server_that_is_down_or_only_fails_ends_the_run_with_its_reason(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 8)
    down = settings.model_copy(update={"llm_url": f"http://127.0.0.1:{free_port()}", "llm_patience": 0.0})
    with pytest.raises(ServiceUnavailable, match="cannot be reached"):
        efficiency(engine, down)
    with faulty(lambda *_: Reply(401, '{"error": "who are you"}')) as seen, pytest.raises(LiberError, match="TOKEN"):
        efficiency(engine, at(settings, seen))
    with faulty(lambda *_: Reply(500, "{}")) as seen, pytest.raises(ServiceUnavailable, match="The last 10 LLM calls"):
        efficiency(engine, at(settings, seen), in_flight=10)


def test_progress_ends_at_the_total(engine: Engine, settings: Settings) -> None:
    add_user(engine, "a", 3)
    told: list[tuple[int, int | None]] = []
    with faulty(lambda *_: GOOD) as seen:
        efficiency(engine, at(settings, seen), steps=2, progress=lambda done, total, _: told.append((done, total)))
    assert (told[0], told[-1]) == ((0, 9), (9, 9))
    with faulty(lambda number, _: Reply(422, "{}") if number == 1 else GOOD) as seen:
        efficiency(engine, at(settings, seen), steps=2, progress=lambda done, total, _: told.append((done, total)))
    done, total = told[-1]
    assert done == total


def test_the_embedded_server_gives_a_whole_table(engine: Engine, settings: Settings, llm_url: str) -> None:
    add_user(engine, "a", 2)
    short = {"llm_url": llm_url, "summary_max_tokens": 8, "shift_max_tokens": 6, "llm_guided": False}
    report = efficiency(engine, settings.model_copy(update=short), steps=1)
    assert report.server is not None
    assert report.server.startswith("llamacpp ")
    for cost in report.variants:
        for figure in (cost.tokens_per_prompt, cost.tokens_per_answer, cost.seconds_per_user, cost.tokens_per_second):
            assert figure is not None
            assert 0 < figure < math.inf
    found = by_name(report)
    assert {name: cost.measured for name, cost in found.items()} == {
        "full": 3, "no_shift": 2, "length_100": 1, "length_20": 1
    }  # fmt: skip
    assert (found["full"].seconds_per_user or 0) > (found["no_shift"].seconds_per_user or 0)
