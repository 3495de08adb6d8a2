-- Status: what was done in each hour since a moment, by indexes. A row's time is that of its transaction's beginning,
-- so hours in which a transaction may still have been running are counted again by the next run.
WITH calls AS (
    SELECT
        CASE WHEN item_key IS NULL THEN 'learn' ELSE 'items' END AS measure,
        finished_at,
        coalesce(prompt_tokens, 0) AS tokens_in,
        coalesce(completion_tokens, 0) AS tokens_out
    FROM liber.llm_call
    WHERE state = 'done' AND finished_at >= :since
),

done (measure, at, n) AS (
    SELECT
        'ingest',
        ingested_at,
        accepted
    FROM liber.ingest_file
    WHERE kind = 'behaviors' AND ingested_at >= :since
    UNION ALL
    SELECT
        'partition',
        created_at,
        1
    FROM liber.behavior_partition
    WHERE created_at >= :since
    UNION ALL
    SELECT
        measure,
        finished_at,
        1
    FROM calls
    UNION ALL
    SELECT
        'tokens_in',
        finished_at,
        tokens_in
    FROM calls
    UNION ALL
    SELECT
        'tokens_out',
        finished_at,
        tokens_out
    FROM calls
    UNION ALL
    SELECT
        'encode',
        created_at,
        1
    FROM liber.interest_vector
    WHERE created_at >= :since
)

INSERT INTO liber.pipeline_hour AS h (measure, hour, n)
SELECT
    measure,
    date_bin('1 hour', at, timestamptz '2000-01-01Z') AS hour,
    sum(n)::bigint AS n
FROM done
GROUP BY 1, 2
ON CONFLICT (measure, hour) DO UPDATE SET n = excluded.n WHERE h.n <> excluded.n
