-- Readout: count, means and scatter of all users, by arm and segment, and the few users at or beyond a guess of any
-- cap, in one scan. A column is named after its pair, y__x, and holds mean of y, mean of x, scatter of y, of x, of both
-- (aggregates of one pair share their state).
SELECT
    arm,
    left_out,
    segment,
    count(*) AS users,
    count(*) FILTER (WHERE wrong_arm) AS wrong_arm,
    count(*) FILTER (WHERE pre_active_days = 0) AS without_pre_period,
    count(*) FILTER (WHERE active_days = 0) AS without_play,
    sum(digest)::text AS digest,
    sum(digest_2)::text AS digest_2,
    ARRAY[
        regr_avgy(play_count, pre_play_count), regr_avgx(play_count, pre_play_count),
        regr_syy(play_count, pre_play_count), regr_sxx(play_count, pre_play_count),
        regr_sxy(play_count, pre_play_count)
    ] AS play_count__pre_play_count,
    ARRAY[
        regr_avgy(play_seconds, pre_play_seconds), regr_avgx(play_seconds, pre_play_seconds),
        regr_syy(play_seconds, pre_play_seconds), regr_sxx(play_seconds, pre_play_seconds),
        regr_sxy(play_seconds, pre_play_seconds)
    ] AS play_seconds__pre_play_seconds,
    ARRAY[
        regr_avgy(active_days, pre_active_days), regr_avgx(active_days, pre_active_days),
        regr_syy(active_days, pre_active_days), regr_sxx(active_days, pre_active_days),
        regr_sxy(active_days, pre_active_days)
    ] AS active_days__pre_active_days,
    ARRAY[regr_sxy(play_seconds, play_count)] AS play_seconds__play_count,
    ARRAY[regr_sxy(pre_play_seconds, pre_play_count)] AS pre_play_seconds__pre_play_count,
    ARRAY[regr_sxy(play_seconds, pre_play_count)] AS play_seconds__pre_play_count,
    ARRAY[regr_sxy(play_count, pre_play_seconds)] AS play_count__pre_play_seconds,
    array_agg(ARRAY[play_count, play_seconds, pre_play_count, pre_play_seconds]) FILTER (
        WHERE play_count >= :play_count OR play_seconds >= :play_seconds
        OR pre_play_count >= :pre_play_count OR pre_play_seconds >= :pre_play_seconds
    ) AS extreme
FROM liber.user_metric
WHERE experiment_key = :experiment_key
GROUP BY arm, left_out, segment
ORDER BY arm, left_out, segment;
