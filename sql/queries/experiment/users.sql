-- Readout: exposed users, as the totals have come.
SELECT coalesce(sum(cast(of_day ->> 2 AS bigint)), 0)
FROM liber.metric_progress, jsonb_array_elements(exposed) AS of_day
WHERE experiment_key = :experiment_key;
