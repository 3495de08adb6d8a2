-- Metrics: values of one of the experiment's own metrics for its exposed users and days that are not final yet.
WITH written AS (
    INSERT INTO liber.user_custom_day AS stored (experiment_key, user_id, day, metric, value)
    SELECT
        e.experiment_key,
        m.user_id,
        m.day,
        :metric,
        m.value::float8 AS value
    FROM metric_sql AS m
    INNER JOIN liber.exposure AS e ON m.user_id = e.user_id
    WHERE
        e.experiment_key = :experiment_key AND e.exposed_at >= :starts_at AND e.exposed_at < :until
        AND m.day >= cast(:from_day AS date) AND m.day < cast(:until_day AS date)
        AND (
            m.day >= cast(:reopened_day AS date)
            OR NOT EXISTS (
                SELECT FROM liber.user_metric AS u
                WHERE
                    u.experiment_key = e.experiment_key AND u.user_id = e.user_id AND u.exposed_at <= e.exposed_at
            )
        )
    ON CONFLICT (experiment_key, user_id, day, metric) DO UPDATE
        SET value = excluded.value
        WHERE stored.value IS DISTINCT FROM excluded.value
    RETURNING user_id
)

INSERT INTO touched_user (user_id)
SELECT user_id FROM written;
