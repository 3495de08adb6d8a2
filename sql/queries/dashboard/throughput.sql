-- Dashboard: what each stage got done in each hour or day (:width) since a moment, UTC, by indexes.
SELECT
    'ingest' AS stage,
    date_bin(:width, ingested_at, timestamptz '2000-01-01Z') AS at,
    sum(accepted)::bigint AS n
FROM liber.ingest_file
WHERE kind = 'behaviors' AND ingested_at >= :since
GROUP BY 2
UNION ALL
SELECT 'partition', date_bin(:width, created_at, timestamptz '2000-01-01Z'), count(*)
FROM liber.behavior_partition
WHERE created_at >= :since
GROUP BY 2
UNION ALL
SELECT 'learn', date_bin(:width, finished_at, timestamptz '2000-01-01Z'), count(*)
FROM liber.llm_call
WHERE state = 'done' AND finished_at >= :since
GROUP BY 2
UNION ALL
SELECT 'encode', date_bin(:width, created_at, timestamptz '2000-01-01Z'), count(*)
FROM liber.interest_vector
WHERE created_at >= :since
GROUP BY 2
ORDER BY 1, 2;
