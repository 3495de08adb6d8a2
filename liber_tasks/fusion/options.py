"""What a model may read besides its backbone's own input; each is an option of its own."""

from collections.abc import Iterable

from liber_tasks.errors import InputError

POOLED = "pooled"  # self-attention, then the mean, over r_1..r_j (paper, Eq. 5 and 6)
MEAN = "mean"  # the mean of r_1..r_j alone (paper, Figure 4)
TARGET_ATTENTION = "target_attention"  # the candidate's text attends to liked and disliked vectors of partitions
PROFILE = "profile"  # similarity of the candidate's text to liked and disliked vectors of partitions
GENRE = "genre"  # the same from genre counts: what needs no text
AFFINITY = "affinity"  # how those who liked or disliked an item of the history liked the candidate
STATISTICS = "statistics"  # running means of the user and of the item

FUSED = frozenset({POOLED, MEAN})
COUNTED = frozenset({AFFINITY, STATISTICS})  # read behaviours of the past and what all users had done
READ_TEXT = frozenset({PROFILE, TARGET_ATTENTION})  # read the items' text vectors
DENSE = (PROFILE, GENRE, AFFINITY, STATISTICS)
BASIC = (STATISTICS,)  # what every model reads, also the backbone without memory
OPTIONS = (POOLED, MEAN, TARGET_ATTENTION, *DENSE)


def check_options(options: Iterable[str]) -> tuple[str, ...]:
    """The options, each once, in the order of `OPTIONS`.

    Raises:
        InputError: one is not known or given twice, or both poolings are.
    """
    given = list(options)
    unknown = [name for name in given if name not in OPTIONS]
    if unknown or len(set(given)) < len(given):
        raise InputError(f"The options are {', '.join(given)}: give each once, of {', '.join(OPTIONS)}.")
    if set(given) >= FUSED:
        raise InputError("The options pooled and mean are two ways to pool the same vectors: give one of them.")
    return tuple(name for name in OPTIONS if name in given)
