-- Readout: sums by days since first exposure, over the days read.
SELECT
    age,
    arm,
    sum(play_count) AS play_count,
    sum(play_count_squares) AS play_count_squares,
    sum(play_seconds) AS play_seconds,
    sum(play_seconds_squares) AS play_seconds_squares
FROM liber.metric_age
WHERE experiment_key = :experiment_key AND day < cast(:until_day AS date)
GROUP BY age, arm
ORDER BY age, arm;
