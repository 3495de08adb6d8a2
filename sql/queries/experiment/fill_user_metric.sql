-- Metrics: bring each exposed user's totals to the days before :until_day. Only users are summed anew who came, moved
-- or crossed, of whom a day has just changed, or who have one between the former and the new end (:moved_from,
-- :moved_to). A row that stays the same is not written.
-- Milliseconds as integers: a sum of floats would depend on the order of the scan.
INSERT INTO liber.user_metric AS stored
WITH touched AS MATERIALIZED (
    SELECT
        e.user_id,
        e.arm,
        e.exposed_at,
        (e.exposed_at AT TIME ZONE 'UTC')::date AS exposed_day,
        coalesce(e.crossed_at < :until, false) AS crossed,
        m.wrong_arm -- known of a user who has a row
    FROM liber.exposure AS e
    LEFT JOIN liber.user_metric AS m ON e.experiment_key = m.experiment_key AND e.user_id = m.user_id
    WHERE
        e.experiment_key = :experiment_key AND e.exposed_at >= :starts_at AND e.exposed_at < :until
        AND (
            m.exposed_at IS DISTINCT FROM e.exposed_at
            OR (m.left_out IS NOT DISTINCT FROM 'crossed') IS DISTINCT FROM coalesce(e.crossed_at < :until, false)
            OR e.user_id IN (SELECT t.user_id FROM touched_user AS t)
            OR e.user_id IN (
                SELECT d.user_id FROM liber.user_metric_day AS d
                WHERE d.experiment_key = :experiment_key AND d.day >= :moved_from AND d.day < :moved_to
            )
            OR e.user_id IN (
                SELECT c.user_id FROM liber.user_custom_day AS c
                WHERE c.experiment_key = :experiment_key AND c.day >= :moved_from AND c.day < :moved_to
            )
        )
),

total AS (
    SELECT
        d.user_id,
        sum(d.play_count) FILTER (WHERE NOT d.pre_period) AS play_count,
        sum(round(d.play_seconds * 1000)::bigint) FILTER (WHERE NOT d.pre_period) AS play_ms,
        count(*) FILTER (WHERE NOT d.pre_period) AS active_days,
        sum(d.play_count) FILTER (WHERE d.pre_period) AS pre_play_count,
        sum(round(d.play_seconds * 1000)::bigint) FILTER (WHERE d.pre_period) AS pre_play_ms,
        count(*) FILTER (WHERE d.pre_period) AS pre_active_days,
        max(d.play_count) > :bot_plays OR max(d.play_seconds) > :bot_seconds AS bot
    FROM liber.user_metric_day AS d
    INNER JOIN touched AS t ON d.user_id = t.user_id
    WHERE d.experiment_key = :experiment_key AND d.day >= cast(:pre_day AS date) AND d.day < cast(:until_day AS date)
    GROUP BY d.user_id
),

row_of AS (
    SELECT
        cast(:experiment_key AS integer) AS experiment_key,
        t.user_id,
        t.arm,
        t.exposed_at,
        coalesce(t.wrong_arm, t.arm IS DISTINCT FROM liber.arm(x, t.user_id)) AS wrong_arm,
        CASE WHEN t.crossed THEN 'crossed' WHEN p.bot THEN 'bot' END AS left_out,
        coalesce(p.play_count, 0)::float8 AS play_count,
        coalesce(p.play_ms, 0)::float8 / 1000 AS play_seconds,
        coalesce(p.active_days, 0)::float8 AS active_days,
        coalesce(p.pre_play_count, 0)::float8 AS pre_play_count,
        coalesce(p.pre_play_ms, 0)::float8 / 1000 AS pre_play_seconds,
        coalesce(p.pre_active_days, 0)::float8 AS pre_active_days,
        coalesce(c.custom, '{}') AS custom,
        coalesce(c.pre_custom, '{}') AS pre_custom,
        coalesce(g.segment, '{}') AS segment
    FROM touched AS t
    INNER JOIN liber.experiment AS x ON x.experiment_key = :experiment_key
    LEFT JOIN total AS p ON t.user_id = p.user_id
    LEFT JOIN liber.user_profile AS u ON t.user_id = u.user_id
    -- the experiment's own metrics, in their order
    LEFT JOIN LATERAL ( -- noqa: ST05
        SELECT
            array_agg(coalesce(o.total, 0) ORDER BY m.place) AS custom,
            array_agg(coalesce(o.pre_total, 0) ORDER BY m.place) AS pre_custom
        FROM unnest(cast(:custom AS text[])) WITH ORDINALITY AS m (metric, place)
        LEFT JOIN LATERAL ( -- noqa: ST05
            SELECT -- numeric: whatever the order of the scan
                sum(d.value::numeric) FILTER (WHERE d.day >= t.exposed_day)::float8 AS total,
                sum(d.value::numeric) FILTER (WHERE d.day < cast(:first_day AS date))::float8 AS pre_total
            FROM liber.user_custom_day AS d
            WHERE
                d.experiment_key = :experiment_key AND d.user_id = t.user_id AND d.metric = m.metric
                AND d.day >= cast(:pre_day AS date) AND d.day < cast(:until_day AS date)
        ) AS o ON true
    ) AS c ON true
    -- values of its segments, in their order: all known before the treatment
    LEFT JOIN LATERAL (
        SELECT
            array_agg(
                CASE s.dimension
                    WHEN 'activity'
                        THEN
                            CASE
                                WHEN coalesce(p.pre_active_days, 0) = 0 THEN 'no day'
                                WHEN 2 * p.pre_active_days < cast(:pre_days AS integer) THEN 'some days'
                                ELSE 'most days'
                            END
                    WHEN 'age'
                        THEN
                            CASE
                                WHEN jsonb_typeof(u.attributes -> 'age') IS DISTINCT FROM 'number' THEN 'unknown'
                                WHEN (u.attributes ->> 'age')::numeric < 18 THEN 'under 18'
                                WHEN (u.attributes ->> 'age')::numeric < 25 THEN '18 to 24'
                                WHEN (u.attributes ->> 'age')::numeric < 35 THEN '25 to 34'
                                WHEN (u.attributes ->> 'age')::numeric < 50 THEN '35 to 49'
                                ELSE '50 and over'
                            END
                    ELSE coalesce(nullif(u.attributes ->> s.dimension, ''), 'unknown')
                END
                ORDER BY s.place
            ) AS segment
        FROM unnest(cast(:segments AS text[])) WITH ORDINALITY AS s (dimension, place)
    ) AS g ON true
)

SELECT
    r.*,
    hash_record_extended(r, 0) AS digest,
    hash_record_extended(r, 1) AS digest_2
FROM row_of AS r
ON CONFLICT (experiment_key, user_id) DO UPDATE
    SET
        arm = excluded.arm, exposed_at = excluded.exposed_at, wrong_arm = excluded.wrong_arm,
        left_out = excluded.left_out, play_count = excluded.play_count, play_seconds = excluded.play_seconds,
        active_days = excluded.active_days, pre_play_count = excluded.pre_play_count,
        pre_play_seconds = excluded.pre_play_seconds, pre_active_days = excluded.pre_active_days,
        custom = excluded.custom, pre_custom = excluded.pre_custom, segment = excluded.segment,
        digest = excluded.digest, digest_2 = excluded.digest_2
    WHERE (stored.digest, stored.digest_2) IS DISTINCT FROM (excluded.digest, excluded.digest_2);
