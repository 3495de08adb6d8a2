"""`liber explain`: which partitions speak for an item, against loops over what the tables hold."""

import json
from pathlib import Path

import numpy as np
import pytest
from sqlalchemy import Engine, text

from liber_tasks.config import Settings
from liber_tasks.encoder.items import encode_items
from liber_tasks.errors import InputError
from liber_tasks.explain import Explanation, Pull, explain, strongest, telling
from tests.encoder.conftest import tiny_bert  # noqa: F401
from tests.features.reference import profile
from tests.test_cli import liber
from tests.training.data import fill


@pytest.fixture
def small(settings: Settings, tiny_bert: Path) -> Settings:  # noqa: F811
    return settings.model_copy(update={"encoder": str(tiny_bert)})


@pytest.fixture
def described(engine: Engine, small: Settings) -> Settings:
    """Items are spoken of: those of one director are liked by a third of the users."""
    fill(engine)
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.knowledge_version (knowledge_version, model, item_prompt,"
                                " parameters) VALUES ('k3', 'big', 'item/1', '{}')"))  # fmt: skip
        connection.execute(text("INSERT INTO liber.item_knowledge (item_key, knowledge_version, text) SELECT item_key,"
                                " 'k3', 'Directed by ' || (ARRAY['Kurosawa', 'Almodóvar', 'Varda'])"
                                "[1 + substr(item_id, 2)::int % 3] || '.' FROM liber.item"))  # fmt: skip
    encode_items(engine, small)
    return small


def _vectors(engine: Engine, kind: str) -> dict[str, np.ndarray]:
    """Centred unit vectors by item."""
    with engine.connect() as connection:
        found = connection.execute(text(
            "SELECT item_id, v.vector::text, e.centre::text FROM liber.item_vector AS v"
            " JOIN liber.item USING (item_key) JOIN liber.item_encoder AS e USING (encoder_version)"
            " WHERE e.kind = :k"), {"k": kind})  # fmt: skip
        moved = {item: np.array(json.loads(vector)) - json.loads(centre) for item, vector, centre in found}
    return {item: vector / max(np.linalg.norm(vector), 1e-12) for item, vector in moved.items()}


def test_each_partition_pulls_by_what_was_liked_less_what_was_disliked(engine: Engine, described: Settings) -> None:
    found = explain(engine, described, "u1", "i4")
    views = [_vectors(engine, kind) for kind in ("dense", "lexical")]
    with engine.connect() as connection:
        rows = connection.execute(text(
            "SELECT p.partition_no, i.item_id, b.rating FROM liber.behavior_partition AS p"
            " JOIN liber.user_profile AS u USING (user_key) JOIN liber.behavior AS b ON b.user_key = p.user_key"
            " AND b.seq BETWEEN p.first_seq AND p.last_seq JOIN liber.item AS i USING (item_key)"
            " WHERE u.user_id = 'u1'")).all()  # fmt: skip
    assert [each.partition_no for each in found.partitions] == sorted({row.partition_no for row in rows})
    for each in found.partitions:
        sides = [[row.item_id for row in rows if row.partition_no == each.partition_no and (row.rating > 3) == side]
                 for side in (True, False)]  # fmt: skip
        assert (each.liked, each.disliked) == tuple(len(side) for side in sides)
        scores = [
            np.mean([_dot(profile(view, side), view["i4"]) for view in views])  # type: ignore[arg-type]
            for side in sides
        ]  # fmt: skip
        assert (each.to_liked, each.to_disliked) == pytest.approx(scores, abs=1e-5)
        assert each.pull == pytest.approx(scores[0] - scores[1], abs=1e-5)
    assert found.pull == pytest.approx(np.mean([each.pull for each in found.partitions]))


def _dot(mean: list[float] | None, vector: np.ndarray) -> float:
    return 0.0 if mean is None else float(np.dot(mean, vector))


def test_the_words_are_those_that_the_item_shares(engine: Engine, described: Settings) -> None:
    """User u1 likes the items of Almodóvar, of whom i4 is one, and of nobody else."""
    found = explain(engine, described, "u1", "i4")
    assert found.pull > 0.05
    said = [word for each in found.partitions for word in each.likes]
    assert "almodóvar" in said
    assert not {"kurosawa", "varda"} & {*said, *(word for each in found.partitions for word in each.dislikes)}
    assert "P_" in found.sentence()
    assert "almodóvar" in found.sentence()
    other = explain(engine, described, "u1", "i3")
    assert other.pull < found.pull
    assert (found.described, found.knowledge_version) == (True, "k3")
    assert found.text.endswith("Directed by Almodóvar.")


def test_only_closed_partitions_count(engine: Engine, described: Settings) -> None:
    before = explain(engine, described, "u1", "i4")
    with engine.begin() as connection:
        connection.execute(text("UPDATE liber.behavior SET rating = 6 - rating WHERE seq > (SELECT max(last_seq) FROM"
                                " liber.behavior_partition)"))  # fmt: skip
    assert explain(engine, described, "u1", "i4") == before


def test_who_has_no_partition_gets_an_answer_too(engine: Engine, described: Settings) -> None:
    with engine.begin() as connection:
        connection.execute(text("INSERT INTO liber.user_profile (user_id) VALUES ('new')"))
    found = explain(engine, described, "new", "i4")
    assert (found.pull, found.partitions) == (0.0, ())
    assert "no closed partition yet" in found.sentence()


def test_what_is_not_there_is_said(engine: Engine, small: Settings) -> None:
    fill(engine)
    with pytest.raises(InputError, match="There is no user 'nobody'"):
        explain(engine, small, "nobody", "i4")
    with pytest.raises(InputError, match="The catalogue has no item 'i99'"):
        explain(engine, small, "u1", "i99")
    with pytest.raises(InputError, match="liber encode --items"):
        explain(engine, small, "u1", "i4")


def test_terms_that_tell_nothing_are_left_out() -> None:
    said = ["the", "of scorsese", "scorsese", "martin scorsese", "heat", "martin"]
    assert telling(said) == ("martin scorsese", "heat")
    assert telling([f"w{n}" for n in range(9)]) == ("w0", "w1", "w2", "w3", "w4")


def test_the_strongest_are_shown_in_the_order_of_time() -> None:
    pulls = [0.5, -0.1, 0.0, 0.2, -0.7, 0.1]
    every = [Pull(n, *[None] * 2, 1, 1, p, 0.0, p, (), ()) for n, p in enumerate(pulls, 1)]  # type: ignore[arg-type]
    assert [each.partition_no for each in strongest(every, 1)] == [1, 5]
    assert [each.partition_no for each in strongest(every, 2)] == [1, 2, 4, 5]
    assert strongest(every, 9) == tuple(every)


def test_the_command_prints_a_table_or_one_json_object(engine: Engine, described: Settings, database_url: str) -> None:
    environment = {"LIBER_DATABASE_URL": database_url}
    shown = liber("explain", "u1", "i4", **environment)
    assert shown.returncode == 0, shown.stderr
    assert "shared with what was liked" in shown.stdout
    assert "a text of k3" in shown.stdout
    found = json.loads(liber("explain", "u1", "i4", "--json", **environment).stdout)
    expected: Explanation = explain(engine, described, "u1", "i4")
    assert found["pull"] == pytest.approx(expected.pull)
    assert [each["partition_no"] for each in found["partitions"]] == [p.partition_no for p in expected.partitions]
    refused = liber("explain", "u1", "i99", **environment)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "i99" in refused.stderr
