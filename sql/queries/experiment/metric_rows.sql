-- Custom metric: its values in days from :from_day to before :until_day, for use inside another statement. The word
-- metric_sql is replaced by the metric's SELECT.
SELECT
    m.user_id,
    m.day,
    m.value::float8 AS value
FROM metric_sql AS m
WHERE m.day >= cast(:from_day AS date) AND m.day < cast(:until_day AS date)
