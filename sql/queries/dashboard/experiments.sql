-- Dashboard: experiments, the latest start first, each with its newest readout (null: none). Of the readout's metrics
-- only what a verdict needs: the rest is most of a record.
SELECT
    e.name,
    e.hypothesis,
    e.starts_at,
    e.ends_at,
    e.simulated,
    e.stopped_at,
    e.archived_at,
    r.result,
    r.created_at AS read_at
FROM liber.experiment AS e
LEFT JOIN LATERAL (
    SELECT
        n.created_at,
        n.result || jsonb_build_object(
            'metrics',
            (
                SELECT jsonb_object_agg(m.key, m.value - '{segments,interactions,novelty,distribution}'::text[])
                FROM jsonb_each(n.result -> 'metrics') AS m
            )
        ) AS result
    FROM liber.readout AS n
    WHERE n.experiment_key = e.experiment_key
    ORDER BY n.until_day DESC, n.readout_key DESC
    LIMIT 1
) AS r ON true
ORDER BY e.starts_at DESC, e.name ASC
LIMIT :n;
