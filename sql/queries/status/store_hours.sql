-- Status: what was done in each hour since a moment, by indexes. A row's time is that of its transaction's beginning, so
-- hours in which a transaction may still have been running are counted again by the next run.
INSERT INTO liber.pipeline_hour AS h (measure, hour, n)
SELECT measure, date_bin('1 hour', at, timestamptz '2000-01-01Z') AS hour, sum(n)::bigint AS n
FROM (
    SELECT 'ingest' AS measure, ingested_at AS at, accepted AS n
    FROM liber.ingest_file
    WHERE kind = 'behaviors' AND ingested_at >= :since
    UNION ALL
    SELECT 'partition', created_at, 1 FROM liber.behavior_partition WHERE created_at >= :since
    UNION ALL
    SELECT m.measure, c.finished_at, m.n
    FROM liber.llm_call AS c
    CROSS JOIN LATERAL (
        VALUES
        (CASE WHEN c.item_key IS NULL THEN 'learn' ELSE 'items' END, 1),
        ('tokens_in', coalesce(c.prompt_tokens, 0)),
        ('tokens_out', coalesce(c.completion_tokens, 0))
    ) AS m (measure, n)
    WHERE c.state = 'done' AND c.finished_at >= :since
    UNION ALL
    SELECT 'encode', created_at, 1 FROM liber.interest_vector WHERE created_at >= :since
) AS done
GROUP BY 1, 2
ON CONFLICT (measure, hour) DO UPDATE SET n = excluded.n WHERE h.n <> excluded.n
