-- Metrics: end of the newest simulated day; null where there is none.
SELECT (max(day) + 1)::timestamp AT TIME ZONE 'UTC' AS newest
FROM liber.simulated_play
WHERE experiment_key = :experiment_key;
