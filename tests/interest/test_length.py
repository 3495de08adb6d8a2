"""Shortening a prompt until the server takes it."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from liber_tasks.interest.llm import CallPoison
from liber_tasks.interest.server.length import fitted


def run(sizes: list[int], fixed: int, limit: int) -> tuple[str, int, list[int]]:
    """Fit behaviours of these sizes, oldest first, after fixed text; also the lengths that were asked about."""
    asked: list[int] = []

    async def excess(prompt: str) -> int:
        asked.append(len(prompt))
        return max(0, len(prompt) - limit)

    found = asyncio.run(fitted(excess, lambda left_out: "x" * (fixed + sum(sizes[left_out:])), len(sizes)))
    return *found, asked


@settings(deadline=None)
@given(st.lists(st.integers(0, 50), max_size=60), st.integers(0, 100), st.integers(0, 1500))
def test_as_few_of_the_oldest_as_can_be_are_left_out(sizes: list[int], fixed: int, limit: int) -> None:
    fewest = next((n for n in range(len(sizes) + 1) if fixed + sum(sizes[n:]) <= limit), None)
    if fewest is None:
        with pytest.raises(CallPoison):
            run(sizes, fixed, limit)
        return
    prompt, left_out, asked = run(sizes, fixed, limit)
    assert left_out == fewest
    assert len(prompt) == fixed + sum(sizes[fewest:])
    assert len(asked) <= 2 + len(sizes).bit_length()


def test_a_prompt_that_fits_is_asked_about_once() -> None:
    assert run([5, 5], 1, 11) == ("x" * 11, 0, [11])


def test_what_never_fits_is_poison_that_says_how_much_is_too_much() -> None:
    with pytest.raises(CallPoison, match="3 tokens too long"):
        run([5, 5], 10, 7)
    with pytest.raises(CallPoison, match="3 tokens too long"):
        run([], 10, 7)
