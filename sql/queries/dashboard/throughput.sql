-- Dashboard: what was done in each hour or day (:width) since a moment, UTC, as it was last counted.
SELECT measure, date_bin(:width, hour, timestamptz '2000-01-01Z') AS at, sum(n)::bigint AS n
FROM liber.pipeline_hour
WHERE hour >= :since
GROUP BY 1, 2
ORDER BY 1, 2
