import pytest

from liber_tasks.errors import InputError
from liber_tasks.fusion.options import (
    AFFINITY,
    DENSE_PROFILE,
    GENRE,
    LEXICAL_PROFILE,
    MEAN,
    OPTIONS,
    POOLED,
    PROFILE,
    check_options,
)


def test_options_come_in_one_order_however_they_are_given() -> None:
    assert check_options([AFFINITY, POOLED, GENRE]) == (POOLED, GENRE, AFFINITY)
    assert check_options([]) == ()


def test_profile_is_short_for_the_profiles_by_text() -> None:
    assert check_options([GENRE, PROFILE]) == (DENSE_PROFILE, LEXICAL_PROFILE, GENRE)


@pytest.mark.parametrize("options", [["pool"], [POOLED, POOLED], [PROFILE, LEXICAL_PROFILE]])
def test_an_option_that_is_unknown_or_given_twice_is_refused_with_all_there_are(options: list[str]) -> None:
    with pytest.raises(InputError, match=", ".join(OPTIONS)):
        check_options(options)


def test_two_ways_to_pool_exclude_each_other() -> None:
    with pytest.raises(InputError, match="give one of them"):
        check_options([POOLED, MEAN])
