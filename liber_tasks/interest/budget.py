"""What a learning run may spend: calls, tokens, time. Pure, but for the clock it is given."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

from liber_tasks.interest.call import Call
from liber_tasks.interest.llm import Spent

Bound = Literal["max_calls", "max_tokens", "max_time"]
CHARACTERS_PER_TOKEN = 3.0  # assumed before the first answer: rather too many tokens than too few


@dataclass(frozen=True)
class Budget:
    """Bounds of a run; None: no bound.

    Attributes:
        calls: questions asked.
        tokens: prompts and answers, those of failed tries included.
        seconds: after which no call is begun.
    """

    calls: int | None = None
    tokens: int | None = None
    seconds: float | None = None

    def less(self, calls: int, tokens: int, seconds: float) -> "Budget":
        """What is left after so much was spent before."""
        return replace(
            self,
            calls=None if self.calls is None else max(0, self.calls - calls),
            tokens=None if self.tokens is None else max(0, self.tokens - tokens),
            seconds=None if self.seconds is None else max(0.0, self.seconds - seconds),
        )


class Account:
    """Spending against a budget. A call reserves what it may cost until it is settled, so that calls in flight
    together cannot pass the bound; only a call whose tries are answered in vain can."""

    def __init__(self, budget: Budget, clock: Callable[[], float]) -> None:
        """Start the clock (seconds)."""
        self._budget = budget
        self._clock = clock
        self._begun = clock()
        self._characters = 0
        self._prompt_tokens = 0
        self._reserved: dict[str, float] = {}
        self.calls = 0
        self.tokens = 0
        self.reached: Bound | None = None

    def admits(self, call: Call[Any]) -> bool:
        """Whether the call may be made now; if so its cost is reserved. If not, the run has `reached` that bound,
        unless calls that have a reservation may turn out cheaper, or be another learner's."""
        cost = len(call.prompt) / self._characters_per_token() + call.max_tokens
        reserved = sum(self._reserved.values())
        if self.expired():
            return False
        over: Bound | None = None
        if self._budget.calls is not None and self.calls >= self._budget.calls:
            over = "max_calls"
        elif self._budget.tokens is not None and self.tokens + reserved + cost > self._budget.tokens:
            over = "max_tokens"
        if over is None:
            self.calls += 1
            self._reserved[call.key] = cost
        elif not self._reserved:
            self.reached = over
        return over is None

    def expired(self) -> bool:
        """Whether the time is over."""
        if self._budget.seconds is not None and self._clock() - self._begun >= self._budget.seconds:
            self.reached = "max_time"
            return True
        return False

    def settle(self, call: Call[Any], spent: Spent) -> None:
        """The call has ended; what it really cost takes the place of what was reserved."""
        self._reserved.pop(call.key, None)
        self.tokens += spent.prompt_tokens + spent.completion_tokens
        if spent.prompt_tokens:
            self._characters += len(call.prompt)
            self._prompt_tokens += spent.prompt_tokens

    def give_back(self, call: Call[Any]) -> None:
        """The call was not made after all."""
        self._reserved.pop(call.key, None)
        self.calls -= 1

    def _characters_per_token(self) -> float:
        return self._characters / self._prompt_tokens if self._prompt_tokens else CHARACTERS_PER_TOKEN
