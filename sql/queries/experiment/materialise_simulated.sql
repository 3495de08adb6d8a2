-- Metrics of a simulated experiment: plays per exposed user and day, for days before :until_day that are not final.
-- A user seen before is read from :reopened_day on; one who is new, or whose first exposure has moved to an earlier
-- moment, from the start of the pre-period. Unchanged rows stay.
WITH exposed AS MATERIALIZED ( -- once a user, not once a play
    SELECT
        e.experiment_key,
        e.user_id,
        e.arm,
        (e.exposed_at AT TIME ZONE 'UTC')::date AS exposed_day,
        CASE WHEN m.exposed_at <= e.exposed_at THEN cast(:reopened_day AS date) ELSE cast(:pre_day AS date) END
            AS from_day
    FROM liber.exposure AS e
    LEFT JOIN liber.user_metric AS m ON e.experiment_key = m.experiment_key AND e.user_id = m.user_id
    WHERE e.experiment_key = :experiment_key AND e.exposed_at >= :starts_at AND e.exposed_at < :until
),

written AS (
    INSERT INTO liber.user_metric_day AS stored
    (experiment_key, user_id, arm, day, pre_period, play_count, play_seconds)
    SELECT
        e.experiment_key,
        e.user_id,
        e.arm,
        p.day,
        p.day < cast(:first_day AS date) AS pre_period,
        p.play_count,
        p.play_seconds
    FROM exposed AS e
    INNER JOIN liber.simulated_play AS p ON e.experiment_key = p.experiment_key AND e.user_id = p.user_id
    WHERE
        p.day >= e.from_day AND p.day < cast(:until_day AS date)
        AND (p.day < cast(:first_day AS date) OR p.day >= e.exposed_day)
    ON CONFLICT (experiment_key, user_id, day) DO UPDATE
        SET play_count = excluded.play_count, play_seconds = excluded.play_seconds
        WHERE (stored.play_count, stored.play_seconds) IS DISTINCT FROM (excluded.play_count, excluded.play_seconds)
    RETURNING user_id
)

INSERT INTO touched_user (user_id)
SELECT user_id FROM written;
