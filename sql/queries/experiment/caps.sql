-- Readout: the values that :above users lie beyond at most; one short sort a column.
SELECT
    (
        SELECT play_count FROM liber.user_metric
        WHERE experiment_key = :experiment_key AND left_out IS NULL
        ORDER BY play_count DESC LIMIT 1 OFFSET :above
    ) AS play_count,
    (
        SELECT play_seconds FROM liber.user_metric
        WHERE experiment_key = :experiment_key AND left_out IS NULL
        ORDER BY play_seconds DESC LIMIT 1 OFFSET :above
    ) AS play_seconds,
    (
        SELECT pre_play_count FROM liber.user_metric
        WHERE experiment_key = :experiment_key AND left_out IS NULL
        ORDER BY pre_play_count DESC LIMIT 1 OFFSET :above
    ) AS pre_play_count,
    (
        SELECT pre_play_seconds FROM liber.user_metric
        WHERE experiment_key = :experiment_key AND left_out IS NULL
        ORDER BY pre_play_seconds DESC LIMIT 1 OFFSET :above
    ) AS pre_play_seconds;
