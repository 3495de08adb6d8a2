-- Calibration: totals of the experiment's counted users, whatever their arm; of many, those whose digest comes first.
SELECT
    play_count,
    play_seconds,
    active_days,
    pre_play_count,
    pre_play_seconds,
    pre_active_days,
    custom,
    pre_custom
FROM liber.user_metric
WHERE experiment_key = :experiment_key AND left_out IS NULL
ORDER BY digest
LIMIT :users;
