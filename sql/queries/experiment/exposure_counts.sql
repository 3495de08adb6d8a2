-- Show: exposures of an experiment.
SELECT
    count(*) FILTER (WHERE arm = 'control') AS control,
    count(*) FILTER (WHERE arm = 'treatment') AS treatment,
    count(crossed_at) AS crossed,
    min(exposed_at) AS first_at,
    max(exposed_at) AS last_at
FROM liber.exposure
WHERE experiment_key = :experiment_key;
