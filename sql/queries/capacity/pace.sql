-- Plan: how many users, items and behaviours there are, and how many days the behaviours span.
SELECT
    (SELECT count(*) FROM liber.user_profile) AS users,
    (SELECT count(*) FROM liber.item) AS items,
    count(*) AS behaviors,
    coalesce(extract(EPOCH FROM max(event_time) - min(event_time)) / 86400, 0)::float8 AS days
FROM liber.behavior
