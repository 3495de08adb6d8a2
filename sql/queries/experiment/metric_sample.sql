-- Custom metric: what is wrong with the rows of some users. The word metric_sql is replaced by the metric's SELECT.
SELECT
    count(*) FILTER (WHERE m.user_id IS NULL OR m.day IS NULL OR m.value IS NULL) AS missing,
    count(*) FILTER (WHERE m.value::float8 IN ('NaN', 'Infinity', '-Infinity')) AS not_numbers,
    count(*) - count(distinct(m.user_id, m.day)) AS repeated
FROM metric_sql AS m
WHERE m.user_id = any(cast(:users AS text[]))
