-- Metrics: how far the totals have come now, with the counts that a readout would otherwise have to scan for.
INSERT INTO liber.metric_progress (experiment_key, until_day, exposed_outside, exposed)
SELECT
    cast(:experiment_key AS integer),
    cast(:until_day AS date),
    (
        SELECT count(*) FROM liber.exposure AS e
        WHERE e.experiment_key = :experiment_key AND (e.exposed_at < :starts_at OR e.exposed_at >= :ends_at)
    ),
    (
        SELECT coalesce(jsonb_agg(jsonb_build_array(s.arm, s.day, s.users) ORDER BY s.arm, s.day), '[]')
        FROM (
            SELECT m.arm, (m.exposed_at AT TIME ZONE 'UTC')::date AS day, count(*) AS users
            FROM liber.user_metric AS m
            WHERE m.experiment_key = :experiment_key AND m.left_out IS NULL
            GROUP BY m.arm, day
        ) AS s
    )
ON CONFLICT (experiment_key) DO UPDATE
    SET until_day = excluded.until_day, exposed_outside = excluded.exposed_outside, exposed = excluded.exposed;
