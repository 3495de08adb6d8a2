-- Readout: a low guess of the caps from some of the table's blocks, so that one scan finds all users beyond them.
SELECT
    count(*) AS users,
    percentile_disc(:quantile) WITHIN GROUP (ORDER BY play_count) AS play_count,
    percentile_disc(:quantile) WITHIN GROUP (ORDER BY play_seconds) AS play_seconds,
    percentile_disc(:quantile) WITHIN GROUP (ORDER BY pre_play_count) AS pre_play_count,
    percentile_disc(:quantile) WITHIN GROUP (ORDER BY pre_play_seconds) AS pre_play_seconds
FROM liber.user_metric TABLESAMPLE system (:per_cent) REPEATABLE (7) -- noqa: PRS
WHERE experiment_key = :experiment_key AND left_out IS NULL;
