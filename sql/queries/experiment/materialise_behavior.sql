-- Metrics of a real experiment: plays per exposed user and UTC day, for days before :until that are not final yet.
-- A user seen before is read from :reopened_day on; one who is new, or whose first exposure has moved to an earlier
-- moment, from the start of the pre-period. Unchanged rows stay.
-- Plays between the start of the experiment and the user's first exposure belong to neither period.
-- Seconds are summed as numeric: a sum of floats would depend on the order of the scan.
WITH exposed AS MATERIALIZED ( -- once a user, not once a play
    SELECT
        e.experiment_key,
        e.user_id,
        e.arm,
        e.exposed_at,
        CASE WHEN m.exposed_at <= e.exposed_at THEN cast(:reopened_day AS date) ELSE cast(:pre_day AS date) END
            AS from_day
    FROM liber.exposure AS e
    LEFT JOIN liber.user_metric AS m ON e.experiment_key = m.experiment_key AND e.user_id = m.user_id
    WHERE e.experiment_key = :experiment_key AND e.exposed_at >= :starts_at AND e.exposed_at < :until
),

play AS (
    SELECT
        e.experiment_key,
        e.user_id,
        e.arm,
        e.from_day,
        e.exposed_at,
        b.event_time,
        (b.event_time AT TIME ZONE 'UTC')::date AS day,
        coalesce(b.play_seconds, 0)::float8::numeric AS play_seconds
    FROM exposed AS e
    INNER JOIN liber.user_profile AS u ON e.user_id = u.user_id
    INNER JOIN liber.behavior AS b ON u.user_key = b.user_key
    WHERE b.kind = 'play' AND b.event_time < :until
),

written AS (
    INSERT INTO liber.user_metric_day AS stored
    (experiment_key, user_id, arm, day, pre_period, play_count, play_seconds)
    SELECT
        experiment_key,
        user_id,
        arm,
        day,
        day < cast(:first_day AS date) AS pre_period,
        count(*) AS play_count,
        sum(play_seconds)::float8 AS play_seconds
    FROM play
    WHERE day >= from_day AND (day < cast(:first_day AS date) OR event_time >= exposed_at)
    GROUP BY experiment_key, user_id, arm, day
    ON CONFLICT (experiment_key, user_id, day) DO UPDATE
        SET play_count = excluded.play_count, play_seconds = excluded.play_seconds
        WHERE (stored.play_count, stored.play_seconds) IS DISTINCT FROM (excluded.play_count, excluded.play_seconds)
    RETURNING user_id
)

INSERT INTO touched_user (user_id)
SELECT user_id FROM written;
