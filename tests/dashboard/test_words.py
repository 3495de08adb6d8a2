"""Numbers, times and names in plain words."""

from datetime import timedelta

import pytest

from liber_tasks.dashboard import words


def test_a_change_and_its_interval() -> None:
    assert words.lift(0.031, -0.012, 0.05).replace(words.THIN, " ") == "+3.1 % (−1.2 to +5.0 %)"
    assert words.lift(None, None, None) == "–"
    assert words.share(0.05, 2).replace(words.THIN, " ") == "5.00 %"


@pytest.mark.parametrize(
    ("passed", "said"),
    [
        (timedelta(seconds=20), "just now"),
        (timedelta(minutes=1), "1 minute ago"),
        (timedelta(minutes=119), "119 minutes ago"),
        (timedelta(hours=36), "36 hours ago"),
        (timedelta(days=5, hours=3), "5 days ago"),
    ],
)
def test_an_age_is_told_in_the_largest_unit_that_says_enough(passed: timedelta, said: str) -> None:
    assert words.age(passed) == said


def test_a_list_reads_like_a_sentence() -> None:
    assert [words.listed(["a", "b", "c"][:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]


def test_a_metric_that_nobody_has_named_is_called_by_its_column() -> None:
    assert [words.metric(name) for name in ("play_count", "active_days")] == ["Play count", "Active days"]


def test_foreign_text_stays_text() -> None:
    assert words.plain("**a** [b](c) $d$ :smile: `e` <f>\n# g") == (
        r"\*\*a\*\* \[b\]\(c\) \$d\$ \:smile\: \`e\` \<f\> \# g"
    )


@pytest.mark.parametrize("address", ["http://example.org", "HTTPS://example.org", "www.example.org", "a@example.org"])
def test_an_address_in_foreign_text_is_cut_before_it_becomes_a_link(address: str) -> None:
    said = words.plain(f"see {address}")
    assert "\u2060" in said
    assert said.replace("\u2060", "").replace("\\", "") == f"see {address}"


@pytest.mark.parametrize(
    ("model", "embedded"),
    [
        ("local", True),
        ("SmolLM2-135M-Instruct", True),
        ("smollm-135m", True),
        ("localai/llama-70b", False),
        ("Qwen", False),
    ],
)
def test_only_the_packaged_model_is_labelled(model: str, embedded: bool) -> None:
    assert words.is_embedded(model) is embedded
