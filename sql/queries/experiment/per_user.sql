-- Readout: one row an exposed user, zeros included. A table, so that the digest and the statistics read the same rows.
-- Milliseconds as integers serve the digest only: a sum of floats would depend on the order of the scan.
CREATE TEMPORARY TABLE per_user ON COMMIT DROP AS
WITH total AS (
    SELECT
        user_id,
        sum(play_count) FILTER (WHERE NOT pre_period) AS play_count,
        sum(play_seconds) FILTER (WHERE NOT pre_period) AS play_seconds,
        sum(round(play_seconds * 1000)::bigint) FILTER (WHERE NOT pre_period) AS play_ms,
        sum(play_count) FILTER (WHERE pre_period) AS pre_play_count,
        sum(play_seconds) FILTER (WHERE pre_period) AS pre_play_seconds,
        sum(round(play_seconds * 1000)::bigint) FILTER (WHERE pre_period) AS pre_play_ms
    FROM liber.user_metric_day
    WHERE experiment_key = :experiment_key AND day >= cast(:pre_day AS date) AND day < cast(:until_day AS date)
    GROUP BY user_id
)

SELECT
    e.arm,
    e.user_id,
    coalesce(t.play_count, 0)::float8 AS play_count,
    coalesce(t.play_seconds, 0) AS play_seconds,
    coalesce(t.pre_play_count, 0)::float8 AS pre_play_count,
    coalesce(t.pre_play_seconds, 0) AS pre_play_seconds,
    coalesce(t.play_ms, 0)::bigint AS play_ms,
    coalesce(t.pre_play_ms, 0)::bigint AS pre_play_ms
FROM liber.exposure AS e
LEFT JOIN total AS t ON e.user_id = t.user_id
WHERE e.experiment_key = :experiment_key AND e.exposed_at >= :starts_at AND e.exposed_at < :until;
