"""A database of many users in which every page has something to show, written by statements of its own.

Two partitions a user, learnt for nine tenths, encoded for most of those; a ledger row for each text. Behaviours only of
every hundredth user: a page reads those of one user, by index.
"""

from sqlalchemy import Engine

from liber_tasks.experiment.readout import readout
from liber_tasks.experiment.simulate import simulate
from tests.bench.database import run, say, settle

FILL = (
    "INSERT INTO liber.user_profile (user_id) SELECT 'user-' || n FROM generate_series(1, {n}) AS n",
    "INSERT INTO liber.item (item_id, title) SELECT 'item-' || n, 'Film ' || n FROM generate_series(1, 50000) AS n",
    "INSERT INTO liber.ingest_file (sha256, kind, source, rows_read, accepted, duplicates, rejected, ingested_at)"
    " SELECT md5(n::text), 'behaviors', 'f', 4500, 4498, 0, 2, {when} FROM generate_series(1, {n}, 100) AS n",
    "INSERT INTO liber.rejected_row SELECT file_id, line, 'reason ' || file_id % 5, NULL"
    " FROM liber.ingest_file, generate_series(1, 2) AS line",
    "INSERT INTO liber.user_stream SELECT n, 45, 41, 2, now() FROM generate_series(1, {n}) AS n",
    "INSERT INTO liber.behavior (user_key, seq, item_key, event_time, effective_time, kind, event_id)"
    " SELECT n, s, 1 + (n * 45 + s) % 50000, now(), now(), 'play', s"
    " FROM generate_series(1, {n}, 100) AS n, generate_series(1, 45) AS s",
    "INSERT INTO liber.behavior_partition SELECT n, p, p * 20 - 19, p * 20, 20, {when}, {when}, {when}, 'count', {when}"
    " FROM generate_series(1, {n}) AS n, generate_series(1, 2) AS p",
    "INSERT INTO liber.knowledge_version VALUES ('kv1', 'model', 'summary/1', 'shift/1', '{{}}')",
    "INSERT INTO liber.interest SELECT user_key, partition_no, kind, 'kv1', 'Likes slow dramas of the north.', 'x',"
    " 300, 30, 0.5, 'stop', created_at + interval '1 hour'"
    " FROM liber.behavior_partition, unnest(enum_range(NULL::liber.interest_kind)) AS kind"
    " WHERE user_key <= 0.9 * {n} AND (partition_no > 1 OR kind = 'summary')",
    "INSERT INTO liber.llm_call (call_key, user_key, partition_no, kind, knowledge_version, state, error, run_id,"
    " started_at, finished_at, prompt_tokens, completion_tokens)"
    " SELECT md5(user_key || '/' || partition_no || kind), user_key, partition_no, kind, 'kv1', 'done', NULL,"
    " 'learn_interests/' || user_key / 1000, created_at - interval '500 ms', created_at, 300, 30 FROM liber.interest",
    "INSERT INTO liber.llm_call (call_key, user_key, partition_no, kind, knowledge_version, state, error, run_id)"
    " SELECT md5('q' || n), n, 1, 'summary', 'kv1', 'quarantined', 'HTTP 422: inputs must have less than '"
    " || n % 40 || ' tokens', 'r' FROM generate_series({n} - {n} / 1000, {n}) AS n",
    "INSERT INTO liber.encoder VALUES ('x1', 'bert', 'mean', 'float32', 64, '0', '', 1, now(), 0.9)",
    "INSERT INTO liber.interest_vector SELECT user_key, partition_no, 'x1', 'kv1',"
    " array_fill(0.125::real, ARRAY[64])::vector, created_at + interval '2 hours' FROM liber.behavior_partition"
    " WHERE user_key <= 0.85 * {n}",
)


def fill(engine: Engine, users: int) -> None:
    """So many users, and an experiment of as many that was read."""
    when = f"now() - interval '30 days' * (1 - n / {users}::float8)"
    for statement in FILL:
        say(f"pages: {statement[:60]}")
        with engine.begin() as connection:
            run(connection, statement.format(n=users, when=when))
    say("pages: an experiment")
    simulate(engine, users=users)
    readout(engine, "liber-memory-simulated")
    settle(engine)
