-- Status: whether this session may store what it counts, and nobody else is counting; and since when hours are open:
-- three hours before the newest one, at first a month ago.
SELECT
    NOT pg_is_in_recovery() AND has_table_privilege('liber.pipeline_state', 'INSERT, UPDATE') AS may_store,
    coalesce(max(hour) - interval '3 hours', date_trunc('hour', now()) - interval '30 days') AS since
FROM liber.pipeline_hour
