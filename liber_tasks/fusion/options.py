"""What a model may read besides its backbone's own input; each is an option of its own."""

from collections.abc import Iterable

from liber_tasks.errors import InputError

POOLED = "pooled"  # self-attention, then the mean, over r_1..r_j (paper, Eq. 5 and 6)
MEAN = "mean"  # the mean of r_1..r_j alone (paper, Figure 4)
TARGET_ATTENTION = "target_attention"  # the candidate's text attends to liked and disliked vectors of partitions
DENSE_PROFILE = "dense_profile"  # similarity of the candidate to what was liked and disliked, by BERT's text vectors
LEXICAL_PROFILE = "lexical_profile"  # the same by words and pairs of words, shortened to a vector
WORDS = "words"  # the same by the few words that tell best what was liked from what was disliked in a partition
GENRE = "genre"  # the same from genre counts: what needs no text
AFFINITY = "affinity"  # how those who liked or disliked an item of the history liked the candidate
STATISTICS = "statistics"  # running means of the user and of the item

PROFILE = "profile"  # short for both profiles by text
FUSED = frozenset({POOLED, MEAN})
COUNTED = frozenset({AFFINITY, STATISTICS})  # read behaviours of the past and what all users had done
READ_TEXT = frozenset({DENSE_PROFILE, LEXICAL_PROFILE, WORDS, TARGET_ATTENTION})  # read the items' texts
COMPARED = (DENSE_PROFILE, LEXICAL_PROFILE, WORDS, GENRE)  # compare the candidate with each closed partition
READ_PARTITIONS = frozenset({TARGET_ATTENTION, *COMPARED})  # read behaviours of closed partitions
DENSE = (*COMPARED, AFFINITY, STATISTICS)
BASIC = (STATISTICS,)  # what every model reads, also the backbone without memory
OPTIONS = (POOLED, MEAN, TARGET_ATTENTION, *DENSE)
_SHORT = {PROFILE: (DENSE_PROFILE, LEXICAL_PROFILE)}


def check_options(options: Iterable[str]) -> tuple[str, ...]:
    """The options, each once, in the order of `OPTIONS`; `PROFILE` stands for the two that it is short for.

    Raises:
        InputError: one is not known or given twice, or both poolings are.
    """
    given = list(options)
    whole = [name for one in given for name in _SHORT.get(one, (one,))]
    unknown = [name for name in whole if name not in OPTIONS]
    if unknown or len(set(whole)) < len(whole):
        raise InputError(
            f"The options are {', '.join(given)}: give each once, of {', '.join(OPTIONS)}; {PROFILE} is short for "
            f"{' and '.join(_SHORT[PROFILE])}."
        )
    if set(whole) >= FUSED:
        raise InputError("The options pooled and mean are two ways to pool the same vectors: give one of them.")
    return tuple(name for name in OPTIONS if name in whole)
