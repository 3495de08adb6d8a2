"""Rows as each version of the schema would hold them after some use: raw SQL, because the code of then is gone.

A migration that makes a table, or a column that matters, gets an entry under its number. Entries are never changed
when the schema changes later: they say what an old database holds.

User u1 has a sealed partition of 20 and a cache of 5, u2 only a cache of 3. Key 1 is theirs by order of insertion.
"""

V3 = """
INSERT INTO liber.user_profile (user_id, attributes)
VALUES ('u1', '{"age": 34, "occupation": "writer"}'), ('u2', '{}');
INSERT INTO liber.item (item_id, title, attributes)
SELECT 'i' || n, 'Título ' || n, jsonb_build_object('genres', array['drama'], 'year', 1980 + n)
FROM generate_series(1, 25) AS n;
INSERT INTO liber.ingest_file (sha256, kind, source, rows_read, accepted, duplicates, rejected)
VALUES (repeat('a', 64), 'behaviors', '/data/may.jsonl', 30, 28, 1, 1);
INSERT INTO liber.rejected_row VALUES (1, 7, 'event_time is missing', '{"event_id": "x"}');
INSERT INTO liber.behavior (
    user_key, seq, item_key, event_time, effective_time, ingested_at, rating, play_seconds, kind, event_id, context
)
SELECT
    1, n, n, '2024-05-01Z'::timestamptz + n * interval '1 hour', '2024-05-01Z'::timestamptz + n * interval '1 hour',
    timestamptz '2024-06-01Z', CASE n % 2 WHEN 0 THEN 4 END, CASE n % 2 WHEN 1 THEN 30.5 END,
    (CASE n % 2 WHEN 0 THEN 'rating' ELSE 'play' END)::liber.behavior_kind, 'e' || n,
    CASE n WHEN 3 THEN '{"device": "tv"}'::jsonb END
FROM generate_series(1, 25) AS n;
INSERT INTO liber.behavior (user_key, seq, item_key, event_time, effective_time, kind, event_id)
SELECT 2, n, n, '2024-05-02Z', '2024-05-02Z', 'click', 'e' || n
FROM generate_series(1, 3) AS n;
INSERT INTO liber.user_stream (user_key, last_seq, first_unsealed_seq, last_partition_no, clock)
VALUES (1, 25, 21, 1, '2024-05-02T01:00:00Z'), (2, 3, 1, 0, '2024-05-02Z');
INSERT INTO liber.behavior_partition (
    user_key, partition_no, first_seq, last_seq, n_behaviors, started_at, ended_at, sealed_at, reason, created_at
) VALUES (
    1, 1, 1, 20, 20, '2024-05-01T01:00:00Z', '2024-05-01T20:00:00Z', '2024-05-01T20:00:00Z', 'count', '2024-06-02Z'
);

INSERT INTO liber.knowledge_version VALUES ('k1', 'm', 'summary/1', 'shift/1', '{"temperature": 0}');
INSERT INTO liber.interest (
    user_key, partition_no, kind, knowledge_version, text, input_sha256, prompt_tokens, completion_tokens,
    latency_seconds, finish_reason
) VALUES (1, 1, 'summary', 'k1', 'Likes slow dramas.', repeat('b', 64), 210, 12, 0.8, 'stop');
INSERT INTO liber.llm_call (call_key, user_key, partition_no, kind, knowledge_version, state, run_id, finished_at)
VALUES (repeat('c', 64), 1, 1, 'summary', 'k1', 'done', 'manual', '2024-06-03Z');
INSERT INTO liber.encoder
VALUES ('x1', 'bert', 'mean', 'float32', 3, repeat('d', 64), '\\x00ff', 10, '2024-05-03Z', 0.9);
INSERT INTO liber.interest_vector VALUES (1, 1, 'x1', 'k1', '[0.25, -1, 3]');

INSERT INTO liber.experiment (name, hypothesis, salt, control_share, treatment_share, starts_at, ends_at)
VALUES ('liber-vs-base', 'More plays.', 's1', 0.5, 0.5, '2024-05-01Z', '2024-05-08Z');
INSERT INTO liber.exposure VALUES (1, 'u1', 'treatment', '2024-05-01T01:00:00Z');
INSERT INTO liber.simulated_play VALUES (1, 'u9', '2024-05-01', 2, 61.5);
INSERT INTO liber.user_metric_day VALUES (1, 'u1', 'treatment', '2024-05-01', FALSE, 12, 366);
INSERT INTO liber.readout (experiment_key, watermark, input_sha256, result)
VALUES (1, '2024-05-08Z', repeat('e', 64), '{"lift": 0.01}');
"""

V4 = """
INSERT INTO liber.partition_cut (user_key, decided_seq, last_seq, model, score) VALUES (1, 24, 23, 'drift/1', 0.2);
"""

V5 = """
INSERT INTO liber.erasure_key (key) VALUES (sha256('a secret'));
INSERT INTO liber.erasure (user_digest, removed)
SELECT sha256(key || convert_to('erased', 'UTF8')), '{"behavior": 2}' FROM liber.erasure_key;
"""

V6 = """
UPDATE liber.item SET title = 'Another title' WHERE item_id = 'i1';
UPDATE liber.user_profile SET attributes = '{"age": 35}' WHERE user_id = 'u1';
"""

V7 = """
INSERT INTO liber.ingest_file (sha256, kind, source, rows_read, accepted, duplicates, rejected, position)
VALUES (repeat('f', 64), 'behaviors', 'kafka: plays/0', 0, 0, 0, 0, '{"offset": 12}');
"""

V8 = """
INSERT INTO liber.item_vector VALUES (1, 'x2', '[1, 0]', repeat('0', 64));
"""

V9 = """
UPDATE liber.knowledge_version SET registered = '{"summary": "prompts:/liber-summary/1"}';
UPDATE liber.llm_call SET prompt_characters = 840, prompt_tokens = 210, completion_tokens = 12, server = 'tgi m';
"""

V10 = """
INSERT INTO liber.knowledge_version (knowledge_version, model, item_prompt, parameters)
VALUES ('k2', 'm', 'item/1', '{}');
INSERT INTO liber.item_knowledge (item_key, knowledge_version, text, attributes_sha256, input_sha256, latency_seconds)
VALUES (1, 'k2', 'A slow drama.', repeat('1', 64), repeat('2', 64), 0.5);
INSERT INTO liber.llm_call (call_key, item_key, knowledge_version, state, run_id, finished_at)
VALUES (repeat('3', 64), 1, 'k2', 'done', 'manual', '2024-06-03Z');
INSERT INTO liber.item_encoder (encoder_version, kind, knowledge_version, model, dimension)
VALUES ('x3', 'dense', 'k2', 'bert', 2);
"""

V11 = """
INSERT INTO liber.experiment (
    name, hypothesis, salt, control_share, treatment_share, starts_at, ends_at, layer, slot, traffic, definition,
    stopped_at, archived_at
) VALUES (
    'ranking', 'More plays.', 's2', 0.5, 0.5, '2024-05-01Z', '2024-05-08Z', 'home', '[0,5000)', 0.2,
    '{"pre_days": 14}', '2024-05-08Z', '2024-05-09Z'
);
UPDATE liber.exposure SET crossed_at = '2024-05-02Z';
"""

V12 = """
INSERT INTO liber.user_metric VALUES (
    1, 'u1', 'treatment', '2024-05-01T01:00:00Z', FALSE, NULL, 12, 366, 1, 3, 90, 1, '{2}', '{1}', '{F}', 77, -5
);
INSERT INTO liber.metric_progress VALUES (1, '2024-05-08', 0, '[["treatment", "2024-05-01", 1]]');
INSERT INTO liber.user_custom_day VALUES (1, 'u1', '2024-05-01', 'clicks', 2);
INSERT INTO liber.metric_age VALUES (1, '2024-05-01', 0, 'treatment', 12, 144, 366, 133956);
INSERT INTO liber.readout_calibration (experiment_key, until_day, input_sha256, result)
VALUES (1, '2024-05-08', repeat('4', 64), '{"splits": 5000}');
"""

V13 = """
INSERT INTO liber.announcement (what, run) VALUES ('partitions', 'ingest_behaviors/manual');
"""

OF_VERSION = {3: V3, 4: V4, 5: V5, 6: V6, 7: V7, 8: V8, 9: V9, 10: V10, 11: V11, 12: V12, 13: V13}
