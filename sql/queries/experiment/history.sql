-- Power: what each user did in a past period as long as the experiment, and in the pre-period before it; one row a user
-- with a behaviour of any kind in the period, as exposed users will have. Users who look like programs are left out.
CREATE TEMPORARY TABLE history ON COMMIT DROP AS
WITH days AS MATERIALIZED (
    SELECT
        b.user_key,
        (b.event_time AT TIME ZONE 'UTC')::date AS day,
        count(*) FILTER (WHERE b.kind = 'play') AS play_count,
        coalesce(sum(b.play_seconds) FILTER (WHERE b.kind = 'play'), 0)::float8 AS play_time
    FROM liber.behavior AS b
    WHERE
        b.event_time >= cast(:pre_day AS date)::timestamp AT TIME ZONE 'UTC'
        AND b.event_time < cast(:until_day AS date)::timestamp AT TIME ZONE 'UTC'
    GROUP BY b.user_key, day
)

SELECT
    u.user_id,
    coalesce(sum(d.play_count) FILTER (WHERE d.day >= :first_day), 0)::float8 AS play_count,
    coalesce(sum(d.play_time) FILTER (WHERE d.day >= :first_day), 0) AS play_time,
    count(*) FILTER (WHERE d.day >= :first_day AND d.play_count > 0)::float8 AS active_days,
    coalesce(sum(d.play_count) FILTER (WHERE d.day < :first_day), 0)::float8 AS pre_play_count,
    coalesce(sum(d.play_time) FILTER (WHERE d.day < :first_day), 0) AS pre_play_time,
    count(*) FILTER (WHERE d.day < :first_day AND d.play_count > 0)::float8 AS pre_active_days
FROM days AS d
INNER JOIN liber.user_profile AS u ON d.user_key = u.user_key
GROUP BY u.user_id
HAVING
    bool_or(d.day >= :first_day)
    AND max(d.play_count) <= coalesce(cast(:plays_per_day AS float8), 'infinity')
    AND max(d.play_time) <= coalesce(cast(:seconds_per_day AS float8), 'infinity')
