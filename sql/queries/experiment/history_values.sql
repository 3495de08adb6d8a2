-- Power: the built-in metrics of the users of history, as numerator and denominator in the period and before it.
CREATE TEMPORARY TABLE history_value ON COMMIT DROP AS
SELECT
    v.metric,
    v.y,
    v.y_per,
    v.x,
    v.x_per
FROM history AS h
CROSS JOIN
    LATERAL (
        VALUES
        ('play_count', h.play_count, 1::float8, h.pre_play_count, 1::float8),
        ('play_time', h.play_time, 1, h.pre_play_time, 1),
        ('active_days', h.active_days, 1, h.pre_active_days, 1),
        ('time_per_play', h.play_time, h.play_count, h.pre_play_time, h.pre_play_count)
    ) AS v (metric, y, y_per, x, x_per)
WHERE v.metric = any(cast(:metrics AS text[]))
