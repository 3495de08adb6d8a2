"""Users with given vectors, without any model: for what reads vectors."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

SEALED = datetime(2020, 1, 1, tzinfo=UTC)  # P_j is sealed j days later


def store(
    engine: Engine, users: Mapping[str, Sequence[Sequence[float]]], encoder: str = "e1", knowledge: str = "k1"
) -> None:
    """Partitions, their summaries and vectors of users, in the order of the mapping; what is there stays."""
    dimension = next(len(rows[0]) for rows in users.values() if rows)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO liber.knowledge_version VALUES (:k, 'm', 's/1', 'c/1', '{}') ON CONFLICT DO NOTHING"),
            {"k": knowledge},
        )
        connection.execute(
            text("INSERT INTO liber.encoder VALUES (:e, 'm', 'mean', 'float32', :d, '', '', 2, NULL, 1)"
                 " ON CONFLICT DO NOTHING"),
            {"e": encoder, "d": dimension},
        )  # fmt: skip
        for user, rows in users.items():
            connection.execute(
                text("INSERT INTO liber.user_profile (user_id) VALUES (:u) ON CONFLICT DO NOTHING"), {"u": user}
            )
            for number, row in enumerate(rows, 1):
                connection.execute(
                    text("WITH who AS (SELECT user_key FROM liber.user_profile WHERE user_id = :u), part AS ("
                         " INSERT INTO liber.behavior_partition"
                         " SELECT user_key, :p, 1, 20, 20, :t, :t, :t, 'count' FROM who ON CONFLICT DO NOTHING),"
                         " said AS ("
                         " INSERT INTO liber.interest (user_key, partition_no, kind, knowledge_version, text,"
                         " input_sha256, latency_seconds) SELECT user_key, :p, 'summary', :k, :text, '', 0 FROM who"
                         " ON CONFLICT DO NOTHING)"
                         " INSERT INTO liber.interest_vector SELECT user_key, :p, :e, :k, cast(:v AS vector) FROM who"),
                    {"u": user, "p": number, "t": SEALED + timedelta(days=number), "k": knowledge, "e": encoder,
                     "text": f"{user} {number} {knowledge}", "v": str(list(row))},
                )  # fmt: skip
