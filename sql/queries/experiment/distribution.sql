-- Readout: users by arm and quarter of a decade of their value, of at most about 10,000 of them; null: zero.
-- noqa: disable=PRS,RF01
SELECT
    m.arm,
    v.metric,
    floor(4 * log(CASE WHEN v.value > 0 THEN v.value END))::integer AS bin,
    count(*) AS users
FROM liber.user_metric AS m TABLESAMPLE system (:per_cent) REPEATABLE (7)
CROSS JOIN LATERAL (
    VALUES
    ('play_count', m.play_count), ('play_time', m.play_seconds),
    ('time_per_play', m.play_seconds / nullif(m.play_count, 0)), ('active_days', m.active_days)
) AS v (metric, value)
WHERE m.experiment_key = :experiment_key AND m.left_out IS NULL
GROUP BY m.arm, v.metric, bin
ORDER BY v.metric, m.arm, bin;
