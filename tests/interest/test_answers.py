"""What counts as an answer, and why the rest does not."""

import json

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from liber_tasks.interest.server.answers import SCHEMA, NoAnswer, answer_text, loops

PROMPT = """Say in one sentence what kinds of movies a user likes. Consider genre and period.

User: male, aged 33
5 stars: "Fargo", "Heat"
In one sentence, what kinds of movies does this user like and dislike?"""

SENTENCE = "This user likes dark crime films and dislikes light comedies."


def text(content: str | None, *, guided: bool = False, cut: bool = False) -> str:
    return answer_text(content, PROMPT, guided=guided, cut=cut)


def fault(content: str | None, *, guided: bool = False, cut: bool = False) -> str:
    with pytest.raises(NoAnswer) as raised:
        text(content, guided=guided, cut=cut)
    return raised.value.fault


@pytest.mark.parametrize(
    "wrapped",
    [
        SENTENCE, f"  {SENTENCE}\n", f'"{SENTENCE}"', f"“{SENTENCE}”", f"Sure! {SENTENCE}", f"{SENTENCE}\0",
        f"Sure! Here is a one-sentence summary:\n\n{SENTENCE}", f"Here's the summary of the user's taste: {SENTENCE}",
        f'Certainly! Here is the answer: "{SENTENCE}"', f"Of course. {SENTENCE}", f"Here are the sentences: {SENTENCE}",
    ],
)  # fmt: skip
def test_wrapping_is_stripped(wrapped: str) -> None:
    assert text(wrapped) == SENTENCE


@pytest.mark.parametrize(
    "kept",
    [
        '"Fargo" and "Heat"', "Here is a user who likes: drama.", "Sure-footed thrillers.", '"Fargo" is liked',
        "Sure!", "Drama.", "Okay is how this user rates comedies.", "It's",
    ],
)  # fmt: skip
def test_what_only_looks_like_wrapping_stays(kept: str) -> None:
    assert text(kept) == kept


@pytest.mark.parametrize("content", [None, "", " \n ", "\0", '{"text": ""}', '{"text": " \\u0000 "}'])
def test_nothing_is_empty(content: str | None) -> None:
    assert fault(content, guided=bool(content and "{" in content)) == "empty"


@pytest.mark.parametrize(
    "refusal",
    [
        "I'm sorry, but I can't help with that.", "I’m sorry, I can’t do that.", "Sorry, I cannot answer.",
        "As an AI language model, I do not have preferences.", "As a large language model I have no taste.",
        "I cannot provide a summary of this user.", "I can't assist with that request.",
        "I am unable to determine what this user likes.", "I'm not able to access the list of movies.",
        "I don't have enough information to say what this user likes.", "Unfortunately, I cannot say.",
        'Sure! "I\'m sorry, I can\'t do that."',
    ],
)  # fmt: skip
def test_a_refusal_is_recognised(refusal: str) -> None:
    assert fault(refusal) == "refused"


@pytest.mark.parametrize(
    "answer",
    [
        "I can't get enough of dramas, this user would say.", "A sorry lot of comedies is disliked.",
        "This user likes films about an AI language model.", "Unfortunately for comedies, this user likes dramas.",
        "I am Sam, Sling Blade and other dramas are liked.", "I Know What You Did Last Summer is disliked.",
    ],
)  # fmt: skip
def test_an_answer_that_only_sounds_like_a_refusal_stays(answer: str) -> None:
    assert text(answer) == answer


@pytest.mark.parametrize(
    "echo",
    [
        "Say in one sentence what kinds of movies a user likes. Drama.",
        "say in one sentence what kinds of movies a user likes",
        "In one sentence, what kinds of movies does this user like and dislike? Drama.",
    ],
)
def test_repeating_the_instruction_is_no_answer(echo: str) -> None:
    assert fault(echo) == "echo"


def test_a_short_first_sentence_may_start_an_answer() -> None:
    assert answer_text("Likes what? Drama.", "Likes what? Say so.", guided=False, cut=False) == "Likes what? Drama."


@pytest.mark.parametrize(
    "loop",
    [
        "Drama, Drama, Drama, Drama, Drama",
        "The (L.A. Confidential), (The) (Euclid), (The) (Euclid), (The) (Euclid), (The) (Euclid)",
        "They are different, but they are both very different, and they are both very different, and they are both "
        "very different, and they are both very different",
        "likes The Great Gatsby, The Great Gatsby, The Great Gatsby, The Great",
        "The user likes drama films. The user hates comedies. The user likes drama films. He is 33. "
        "The user likes drama films.",
        " ".join(f"likes {word} films and" for word in ["a", "b", "a", "b", "b", "a", "a", "b", "a", "b"]) * 2,
    ],
)
def test_a_loop_is_recognised(loop: str) -> None:
    assert loops(loop)
    assert fault(loop) == "repeated"


@pytest.mark.parametrize(
    "answer",
    [
        "Likes drama, crime drama and romantic drama, dislikes horror.",
        "Drama (12), Comedy (8), Thriller (8), Action (3).",
        "Tora! Tora! Tora! and New York, New York are liked.",
        'This user enjoys both "The Godfather: Part 1", "The Godfather: Part 2", and "The Godfather: Part 3".',
        "This user likes Star Wars. This user likes Star Trek. This user likes Star Wars too.",
        "Very, very, very dark films.",
        "This user enjoys Sling, The, and Transformers: The Movie, The, and The.",
        "Dislikes the movie Clueless and the movie Desperado and the movie Liar Liar and the movie Heat.",
    ],
)
def test_ordinary_lists_of_genres_and_titles_are_no_loop(answer: str) -> None:
    assert not loops(answer)
    assert text(answer) == answer


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from(["drama", "comedy", "horror", "war", "noir", "crime"]), min_size=1, max_size=6, unique=True
    )
)
def test_a_list_without_repeats_is_never_a_loop(genres: list[str]) -> None:
    assert not loops(", ".join(genres))


def test_a_guided_answer_is_the_schemas_one_field() -> None:
    assert list(SCHEMA["properties"]) == ["text"]
    assert text(json.dumps({"text": SENTENCE}), guided=True) == SENTENCE
    assert text('{\n "text" : "a \\"dark\\" fargo\\u0142" }', guided=True) == 'a "dark" fargoł'


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (SENTENCE, "free"), ('"quoted text only"', "free"), ("[1]", "free"),
        ("{}", "schema"), ('{"text": 1}', "schema"), ('{"text": null}', "schema"),
        ('{"sentence": "a b c d"}', "schema"),
        ('{"text": "a b c d", "more": 1}', "schema"), ('{"text": "a b c d', "schema"), ("{'text': 'a b c'}", "schema"),
        ('{"text": "I\'m sorry, I can\'t help."}', "refused"), ('{"text": "a a a a a a a a"}', "repeated"),
    ],
)  # fmt: skip
def test_what_breaks_the_schema_is_no_answer(content: str, expected: str) -> None:
    assert fault(content, guided=True) == expected


@settings(deadline=None)
@given(st.text(min_size=1, max_size=40), st.integers(0, 200))
@example("a 😀 b c", 9)
@example('"\\\n\x07', 12)
def test_a_cut_json_text_keeps_what_was_written(end: str, keep: int) -> None:
    full = json.dumps({"text": f"likes dark films {end}"})
    cut = full[: max(len('{"text": "likes dark films'), keep)]
    found = text(cut, guided=True, cut=True)
    assert found
    assert f"likes dark films {end}".replace("\0", "").startswith(found)


@pytest.mark.parametrize("content", ['{"text": "two words', '{"text": "', '{"te', "{"])
def test_a_cut_answer_of_less_than_three_words_is_none(content: str) -> None:
    assert fault(content, guided=True, cut=True) == "schema"


def test_white_space_that_never_ends_does_not_hide_the_text() -> None:
    assert text('{"text": "likes dark films"' + " \n" * 30, guided=True, cut=True) == "likes dark films"
