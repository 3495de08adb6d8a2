-- Views for readers (role liber_reader). Dropped first: a view's columns cannot be replaced freely.
DROP VIEW IF EXISTS
liber.partition_event, liber.interest_timeline, liber.pipeline_status, liber.experiment_reading, liber.readout_current,
liber.llm_run, liber.llm_user;

-- One row a behaviour inside a sealed partition.
CREATE VIEW liber.partition_event AS
SELECT
    u.user_id,
    p.partition_no,
    b.seq - p.first_seq + 1 AS position,
    b.event_id,
    p.reason::text AS reason,
    p.sealed_at
FROM liber.behavior_partition AS p
INNER JOIN liber.user_profile AS u ON p.user_key = u.user_key
INNER JOIN liber.behavior AS b ON p.user_key = b.user_key AND b.seq BETWEEN p.first_seq AND p.last_seq;

-- One row a partition and knowledge version; texts are null until learnt.
CREATE VIEW liber.interest_timeline AS
SELECT
    u.user_id,
    p.partition_no,
    p.started_at,
    p.ended_at,
    p.n_behaviors,
    s.text AS summary,
    c.text AS shift,
    k.model,
    k.summary_prompt || ' + ' || k.shift_prompt AS prompt_version,
    s.knowledge_version
FROM liber.behavior_partition AS p
INNER JOIN liber.user_profile AS u ON p.user_key = u.user_key
LEFT JOIN liber.interest AS s
    ON p.user_key = s.user_key AND p.partition_no = s.partition_no AND s.kind = 'summary'
LEFT JOIN liber.interest AS c
    ON
        p.user_key = c.user_key AND p.partition_no = c.partition_no AND c.kind = 'shift'
        AND s.knowledge_version = c.knowledge_version
LEFT JOIN liber.knowledge_version AS k ON s.knowledge_version = k.knowledge_version;

-- One row an experiment that is read day by day: how far it was, and since when the next day waits (null: read). A day
-- may be read three hours after its end, when the readout DAG runs.
CREATE VIEW liber.experiment_reading AS
WITH newest AS (
    SELECT DISTINCT ON (experiment_key)
        experiment_key,
        until_day,
        result #>> '{sample_ratio,ok}' = 'false' AS split_broken
    FROM liber.readout
    ORDER BY experiment_key ASC, until_day DESC, readout_key DESC
),

due AS (
    SELECT
        e.name,
        e.ends_at,
        n.until_day::timestamp AT TIME ZONE 'UTC' AS read_until,
        n.until_day,
        n.split_broken,
        date_trunc('day', coalesce(n.until_day::timestamp AT TIME ZONE 'UTC', e.starts_at), 'UTC')
        + interval '27 hours' AS due_at
    FROM liber.experiment AS e
    LEFT JOIN newest AS n ON e.experiment_key = n.experiment_key
    WHERE e.archived_at IS NULL AND e.stopped_at IS NULL AND e.starts_at <= now()
)

SELECT
    name AS experiment,
    until_day,
    split_broken,
    CASE WHEN due_at <= now() AND (read_until IS NULL OR read_until < ends_at) THEN due_at END AS behind_since
FROM due;

-- One row a stage: what is done and what waits. It counts: liber.pipeline_state has what was counted last.
CREATE VIEW liber.pipeline_status AS
WITH kept AS (
    SELECT liber.retained_from(NULL) AS since
),

-- After a partition whose texts retention removed, one begins anew, like P_1: no shift is asked for.
begun_anew AS (
    SELECT count(*) AS n
    FROM liber.behavior_partition AS p
    INNER JOIN liber.behavior_partition AS earlier
        ON p.user_key = earlier.user_key AND p.partition_no = earlier.partition_no + 1
    LEFT JOIN liber.interest AS c
        ON p.user_key = c.user_key AND p.partition_no = c.partition_no AND c.kind = 'shift'
    WHERE
        (SELECT since FROM kept) > '-infinity'
        AND p.sealed_at >= (SELECT since FROM kept) AND earlier.sealed_at < (SELECT since FROM kept)
        AND c.user_key IS NULL
),

-- What is too old to have texts is neither done nor waiting.
partitions AS (
    SELECT
        count(*) AS n,
        count(*) FILTER (WHERE partition_no > 1) - (SELECT n FROM begun_anew) AS n_with_previous
    FROM liber.behavior_partition
    WHERE sealed_at >= (SELECT since FROM kept)
),

-- Whole columns in the order of the primary key: nothing is sorted and no text is read, however many there are.
texts AS (
    SELECT
        count(*) FILTER (WHERE kind = 'summary') AS summaries,
        count(*) FILTER (WHERE kind = 'shift') AS shifts
    FROM (SELECT DISTINCT user_key, partition_no, kind FROM liber.interest) AS learnt
),

-- Quarantined and without a text of another version: neither done nor waiting.
lost AS (
    SELECT
        count(distinct(c.user_key, c.partition_no)) FILTER (WHERE c.kind = 'summary') AS summaries,
        count(distinct(c.user_key, c.partition_no)) FILTER (WHERE c.kind = 'shift') AS shifts
    FROM liber.llm_call AS c
    LEFT JOIN liber.interest AS i
        ON c.user_key = i.user_key AND c.partition_no = i.partition_no AND c.kind = i.kind
    WHERE c.state = 'quarantined' AND i.user_key IS NULL
),

encoded AS (
    SELECT DISTINCT user_key, partition_no FROM liber.interest_vector
),

vectors AS (
    SELECT count(*) AS n FROM encoded
),

-- A partition can be encoded once it has its summary and, from P_2 on, its shift. Vectors may outlive texts.
encodable AS (
    SELECT count(*) FILTER (WHERE v.user_key IS NULL) AS waiting
    FROM (
        SELECT DISTINCT
            s.user_key,
            s.partition_no
        FROM liber.interest AS s
        LEFT JOIN liber.interest AS c
            ON
                s.user_key = c.user_key AND s.partition_no = c.partition_no
                AND s.knowledge_version = c.knowledge_version AND c.kind = 'shift'
        INNER JOIN liber.knowledge_version AS k ON s.knowledge_version = k.knowledge_version
        WHERE
            s.kind = 'summary'
            AND (
                s.partition_no = 1 OR c.user_key IS NOT NULL OR coalesce(k.parameters ->> 'variant', 'full') <> 'full'
                OR EXISTS (
                    SELECT FROM liber.behavior_partition AS p
                    WHERE
                        p.user_key = s.user_key AND p.partition_no = s.partition_no - 1
                        AND p.sealed_at < (SELECT since FROM kept)
                )
            )
    ) AS whole
    LEFT JOIN encoded AS v ON whole.user_key = v.user_key AND whole.partition_no = v.partition_no
),

-- Of the newest version there is. A text of an item that has changed since counts as done: to look at every item's
-- attributes is what `liber learn --items --dry-run` does.
item_version AS (
    SELECT knowledge_version
    FROM liber.knowledge_version
    WHERE item_prompt IS NOT NULL
    ORDER BY created_at DESC, knowledge_version ASC
    LIMIT 1
),

items AS (
    SELECT
        (SELECT count(*) FROM liber.item) AS n,
        (
            SELECT count(*)
            FROM liber.item_knowledge AS k
            INNER JOIN item_version AS v ON k.knowledge_version = v.knowledge_version
        ) AS described,
        (
            SELECT count(DISTINCT c.item_key)
            FROM liber.llm_call AS c
            INNER JOIN item_version AS v ON c.knowledge_version = v.knowledge_version
            LEFT JOIN liber.item_knowledge AS k
                ON c.item_key = k.item_key AND c.knowledge_version = k.knowledge_version
            WHERE c.item_key IS NOT NULL AND c.state = 'quarantined' AND k.item_key IS NULL
        ) AS lost
),

streams AS (
    SELECT
        coalesce(sum(last_seq), 0)::bigint AS behaviors,
        coalesce(sum(last_seq - first_unsealed_seq + 1), 0)::bigint AS cached
    FROM liber.user_stream
)

SELECT stage, unit, done, pending, failed
FROM (
    SELECT
        1 AS step,
        'ingest' AS stage,
        'behaviors' AS unit,
        streams.behaviors AS done,
        0::bigint AS pending,
        (SELECT count(*) FROM liber.rejected_row) AS failed
    FROM streams
    UNION ALL
    SELECT 2, 'partition', 'behaviors sealed', streams.behaviors - streams.cached, streams.cached, 0 FROM streams
    UNION ALL
    SELECT
        3, 'summary', 'partitions', texts.summaries, partitions.n - texts.summaries - lost.summaries, lost.summaries
    FROM partitions CROSS JOIN texts CROSS JOIN lost
    UNION ALL
    SELECT
        4, 'shift', 'partitions', texts.shifts, partitions.n_with_previous - texts.shifts - lost.shifts, lost.shifts
    FROM partitions CROSS JOIN texts CROSS JOIN lost
    UNION ALL
    SELECT 5, 'encode', 'partitions', vectors.n, encodable.waiting, 0 FROM vectors CROSS JOIN encodable
    UNION ALL
    SELECT 6, 'item knowledge', 'items', items.described, items.n - items.described - items.lost, items.lost FROM items
    UNION ALL
    SELECT
        7,
        'readout',
        'experiments read',
        count(*) FILTER (WHERE behind_since IS NULL),
        count(*) FILTER (WHERE behind_since IS NOT NULL),
        count(*) FILTER (WHERE split_broken)
    FROM liber.experiment_reading
) AS stages
ORDER BY step;

-- The readout of each experiment that has come furthest; of the same day, the newest.
CREATE VIEW liber.readout_current AS
SELECT DISTINCT ON (e.name)
    e.name AS experiment,
    e.simulated,
    e.starts_at,
    e.ends_at,
    r.watermark,
    r.result,
    r.created_at
FROM liber.readout AS r
INNER JOIN liber.experiment AS e ON r.experiment_key = e.experiment_key
ORDER BY e.name ASC, r.until_day DESC, r.readout_key DESC;

-- What each learning run cost: one row a run and knowledge version. Its shards, named RUN#0/4, count together. A call
-- that a later run asked again counts there, with all its tokens.
CREATE VIEW liber.llm_run AS
SELECT
    split_part(l.run_id, '#', 1) AS run_id,
    l.knowledge_version,
    k.model,
    count(*) AS calls,
    count(*) FILTER (WHERE l.state = 'done') AS done,
    count(*) FILTER (WHERE l.state = 'failed') AS failed,
    count(*) FILTER (WHERE l.state = 'quarantined') AS quarantined,
    coalesce(sum(l.prompt_tokens), 0)::bigint AS prompt_tokens,
    coalesce(sum(l.completion_tokens), 0)::bigint AS completion_tokens,
    min(l.started_at) AS started_at,
    max(l.finished_at) AS finished_at
FROM liber.llm_call AS l
INNER JOIN liber.knowledge_version AS k ON l.knowledge_version = k.knowledge_version
GROUP BY split_part(l.run_id, '#', 1), l.knowledge_version, k.model;

-- What each user's texts cost: one row a user and knowledge version.
CREATE VIEW liber.llm_user AS
SELECT
    u.user_id,
    l.knowledge_version,
    k.model,
    count(*) AS calls,
    count(*) FILTER (WHERE l.state = 'done') AS done,
    count(*) FILTER (WHERE l.state = 'failed') AS failed,
    count(*) FILTER (WHERE l.state = 'quarantined') AS quarantined,
    coalesce(sum(l.prompt_tokens), 0)::bigint AS prompt_tokens,
    coalesce(sum(l.completion_tokens), 0)::bigint AS completion_tokens,
    min(l.started_at) AS started_at,
    max(l.finished_at) AS finished_at
FROM liber.llm_call AS l
INNER JOIN liber.user_profile AS u ON l.user_key = u.user_key
INNER JOIN liber.knowledge_version AS k ON l.knowledge_version = k.knowledge_version
GROUP BY u.user_id, l.knowledge_version, k.model;
