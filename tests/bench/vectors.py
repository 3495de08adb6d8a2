"""Reading vectors in bulk against a plain SELECT, and nearest users with and without an index: wall milliseconds.

Two scratch databases, of 1,000 users and of `size`, with as many partitions a user as MovieLens-100K has at K = 20
(4.9, 1 to 36), 64 numbers a vector. From the small one everybody is read, from the large one 1,000 at random: there,
most of what is read is in no cache of the processor's and not all in the server's. Users have a few of 400 interests,
each partition lies near one of them: without such groups nobody would be near anybody, and an index could not be right
or wrong in a way that matters.
"""

import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, create_engine, text

from liber_tasks.binary_copy import write_columns
from liber_tasks.db import query
from liber_tasks.encoder.nearest import make_index, nearest_users
from liber_tasks.encoder.read import partition_vectors
from tests.bench.database import cluster, database, run, say, settle

DIMENSION = 64
INTERESTS = 400
READ = 1000  # users
ROUNDS = 7
QUERIES = 60
K = 10
VERSIONS = ("e1", "k1")
BATCH = 50_000

_PLAIN = """
SELECT u.user_id, v.partition_no, p.sealed_at, v.vector::text FROM liber.interest_vector AS v
INNER JOIN liber.user_profile AS u USING (user_key)
INNER JOIN liber.behavior_partition AS p USING (user_key, partition_no)
WHERE u.user_id = any(:users) AND v.encoder_version = :e AND v.knowledge_version = :k
ORDER BY u.user_id, v.partition_no"""


def measure(size: int = 100_000) -> tuple[dict[str, Any], dict[str, Any]]:
    """Reads of 1,000 users, of as many and of `size`; nearest users among the latter."""
    dice = np.random.default_rng(0)
    figures: dict[str, Any] = {"users": size, "dimension": DIMENSION, "rounds": ROUNDS, "k": K, "queries": QUERIES}
    ratios: dict[str, Any] = {}
    with cluster() as server:
        for users, mark in ((READ, ""), (size, f"_of_{size}")):
            engine = database(server)
            kept = create_engine(engine.url, pool_size=1, max_overflow=0)  # as a server keeps its connections
            figures[f"vectors{mark}"] = _fill(engine, users, dice)
            times, figures[f"vectors_read{mark}"] = _reads(engine, kept, users, dice)
            for side, taken in times.items():
                figures[f"{side}_ms{mark}"] = round(statistics.median(taken), 2)
            paired = [plain / ours for plain, ours in zip(times["select"], times["ours"], strict=True)]
            ratios[f"read_1000{mark}_users_ms"] = figures[f"ours_ms{mark}"]
            ratios[f"text_select_over_ours{mark}"] = round(statistics.median(paired), 2)
            if not mark:
                kept.dispose()
        users = [_name(number) for number in dice.choice(size, min(QUERIES, size), replace=False)]
        say("vectors: nearest users, exact")
        exact, ratios["exact_query_ms"] = _nearest(kept, users, exact=True)
        begun = time.perf_counter()
        make_index(engine, *VERSIONS)
        figures["index_seconds"] = round(time.perf_counter() - begun, 1)
        say(f"vectors: index made in {figures['index_seconds']} s; nearest users, indexed")
        _nearest(kept, users, exact=False)
        indexed, ratios["hnsw_query_ms"] = _nearest(kept, users, exact=False)
        shares = [_recall(found, right) for found, right in zip(indexed, exact, strict=True)]
        ratios[f"hnsw_recall_at_{K}"] = round(statistics.mean(shares), 4)
        figures["hnsw_recall_least"] = round(min(shares), 2)
        with engine.connect() as connection:
            sizes = text("SELECT pg_relation_size(i.indexrelid) FROM pg_index AS i JOIN pg_class AS c"
                         " ON c.oid = i.indexrelid WHERE c.relname LIKE 'interest_nearest%'")  # fmt: skip
            figures["index_mb"] = round(connection.execute(sizes).scalar_one() / 2**20, 1)
        kept.dispose()
    return ratios, figures


def _fill(engine: Engine, users: int, dice: np.random.Generator) -> int:
    """Users, sealed partitions and vectors, through the encoder's own stage and upsert; returns the vectors."""
    # behaviours of MovieLens-100K's users: median 65, mean 106, 20 to 737
    counts = np.clip(np.exp(dice.normal(np.log(65), 0.98, users)), 20, 737).astype(int) // 20
    keys = np.repeat(np.arange(1, users + 1), counts)
    numbers = np.arange(len(keys)) - np.repeat(np.cumsum(counts) - counts, counts) + 1
    centres = dice.normal(size=(INTERESTS, DIMENSION))
    own = dice.integers(0, INTERESTS, (users, 3))
    say(f"vectors: writing {len(keys):,} vectors of {users:,} users")
    with engine.begin() as connection:
        run(
            connection,
            "INSERT INTO liber.knowledge_version VALUES ('k1', 'm', 's/1', 'c/1', '{}')",
            "INSERT INTO liber.encoder VALUES ('e1', 'm', 'mean', 'float32', 64, '', '', 2, NULL, 1)",
        )
        connection.execute(
            text("INSERT INTO liber.user_profile (user_id) SELECT 'user-' || lpad(n::text, 7, '0')"
                 " FROM generate_series(0, :users - 1) AS n ORDER BY n"),
            {"users": users},
        )  # fmt: skip
    for start in range(0, len(keys), BATCH):
        some = slice(start, start + BATCH)
        interest = own[keys[some] - 1, dice.integers(0, 3, len(keys[some]))]
        rows = centres[interest] + dice.normal(scale=0.6, size=(len(interest), DIMENSION))
        with engine.begin() as connection:
            _write(connection, keys[some], numbers[some], rows.astype(np.float32))
    settle(engine)
    return len(keys)


def _write(connection: Connection, keys: np.ndarray, numbers: np.ndarray, rows: np.ndarray) -> None:
    fields = {"user_key": ">i8", "partition_no": ">i4", "vector": f"vector{DIMENSION}"}
    connection.execute(query("encoder/stage"))
    write_columns(connection, "encoder/copy_stage", fields, {"user_key": keys, "partition_no": numbers, "vector": rows})
    run(
        connection,
        "INSERT INTO liber.behavior_partition SELECT user_key, partition_no, partition_no * 20 - 19, partition_no * 20,"
        " 20, t, t, t, 'count' FROM interest_vector_stage, LATERAL (SELECT '2020-01-01 UTC'::timestamptz"
        " + partition_no * interval '1 day' AS t) AS moment ORDER BY user_key, partition_no",
    )
    connection.execute(query("encoder/upsert"), {"encoder_version": VERSIONS[0], "knowledge_version": VERSIONS[1]})


def _reads(engine: Engine, kept: Engine, size: int, dice: np.random.Generator) -> tuple[dict[str, list[float]], int]:
    """Milliseconds of reads in turns: ours, ours with a new connection, a SELECT of text; and the vectors of one."""
    times: dict[str, list[float]] = {"ours": [], "ours_new_connection": [], "select": []}
    read = []
    for number in range(ROUNDS + 1):  # the first warms up
        asked = [_name(n) for n in dice.choice(size, min(READ, size), replace=False)]
        sides: dict[str, Callable[[], Any]] = {
            "ours": lambda asked=asked: partition_vectors(kept, asked, *VERSIONS).vectors,
            "ours_new_connection": lambda asked=asked: partition_vectors(engine, asked, *VERSIONS).vectors,
            "select": lambda asked=asked: _plain(kept, asked),
        }
        found = {}
        for side in sorted(sides, reverse=bool(number % 2)):
            begun = time.perf_counter()
            found[side] = sides[side]()
            if number:
                times[side].append(1000 * (time.perf_counter() - begun))
        if sorted(map(tuple, found["ours"].round(4))) != sorted(map(tuple, found["select"].round(4))):
            raise RuntimeError("the two reads differ")
        read.append(len(found["ours"]))
        if number:
            say(f"vectors: round {number}: " + ", ".join(f"{side} {t[-1]:.1f} ms" for side, t in times.items()))
    return times, round(statistics.mean(read))


def _plain(engine: Engine, asked: list[str]) -> np.ndarray:
    with engine.connect() as connection:
        rows = connection.execute(text(_PLAIN), {"users": asked, "e": VERSIONS[0], "k": VERSIONS[1]}).all()
    return np.array([np.fromstring(row[3][1:-1], np.float32, sep=",") for row in rows])


def _nearest(engine: Engine, users: list[str], *, exact: bool) -> tuple[list[list[float]], float]:
    """Similarities of the nearest of each user, and the median milliseconds of one call."""
    found, times = [], []
    for user in users:
        begun = time.perf_counter()
        answer = nearest_users(engine, user, *VERSIONS, K, exact=exact)
        times.append(1000 * (time.perf_counter() - begun))
        found.append([each.similarity for each in answer.neighbours])
    return found, round(statistics.median(times), 2)


def _recall(found: list[float], right: list[float]) -> float:
    """Share of the right answers that were found: as near as the furthest right one, so that ties count."""
    return sum(similarity >= right[-1] - 1e-6 for similarity in found) / len(right)


def _name(number: int) -> str:
    return f"user-{number:07d}"
