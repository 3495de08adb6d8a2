-- Metrics: sums over users by days since first exposure, for the days from :reopened_day on.
INSERT INTO liber.metric_age AS stored
SELECT
    d.experiment_key,
    d.day,
    d.day - (m.exposed_at AT TIME ZONE 'UTC')::date AS age,
    m.arm,
    sum(d.play_count) AS play_count,
    sum(d.play_count::float8 * d.play_count) AS play_count_squares,
    sum(round(d.play_seconds * 1000)::bigint)::float8 / 1000 AS play_seconds,
    sum(d.play_seconds * d.play_seconds) AS play_seconds_squares
FROM liber.user_metric_day AS d
INNER JOIN liber.user_metric AS m ON d.experiment_key = m.experiment_key AND d.user_id = m.user_id
WHERE
    d.experiment_key = :experiment_key AND d.day >= cast(:reopened_day AS date) AND d.day < cast(:until_day AS date)
    AND NOT d.pre_period AND m.left_out IS NULL
GROUP BY d.experiment_key, d.day, age, m.arm
ON CONFLICT (experiment_key, day, age, arm) DO UPDATE
    SET
        play_count = excluded.play_count, play_count_squares = excluded.play_count_squares,
        play_seconds = excluded.play_seconds, play_seconds_squares = excluded.play_seconds_squares;
