"""Which errors a task is tried again after, as Airflow's task runner decides it."""

import pytest
from airflow.sdk import RetryAction

from liber_tasks import errors
from liber_tasks.behavior import erase, ingest  # noqa: F401  (they define errors of their own)
from liber_tasks.orchestration_failures import RETRY_POLICY

FIRST_TRY, MAX_TRIES = 1, 5


def action(error: BaseException) -> RetryAction:
    return RETRY_POLICY.evaluate(error, FIRST_TRY, MAX_TRIES).action


def family(kind: type[errors.LiberError]) -> list[type[errors.LiberError]]:
    return [kind, *(each for child in kind.__subclasses__() for each in family(child))]


@pytest.mark.parametrize("kind", family(errors.ServiceUnavailable))
def test_a_service_that_is_away_is_tried_again(kind: type[errors.LiberError]) -> None:
    assert action(kind("PostgreSQL is away.")) is RetryAction.RETRY


@pytest.mark.parametrize("kind", sorted({*family(errors.LiberError)} - {*family(errors.ServiceUnavailable)}, key=str))
def test_what_somebody_has_to_put_right_is_not_tried_again(kind: type[errors.LiberError]) -> None:
    error = kind.__new__(kind)  # some take more than a sentence
    assert action(error) is RetryAction.FAIL


@pytest.mark.parametrize("error", [ConnectionResetError(), MemoryError(), OSError(28, "No space left")])
def test_what_may_pass_by_itself_is_left_to_the_number_of_tries(error: BaseException) -> None:
    assert action(error) is RetryAction.DEFAULT
