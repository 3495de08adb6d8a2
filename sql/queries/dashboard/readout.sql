-- Dashboard: the newest readout of one experiment.
SELECT
    e.name,
    e.starts_at,
    e.ends_at,
    r.result,
    r.created_at AS read_at
FROM liber.readout AS r
INNER JOIN liber.experiment AS e ON r.experiment_key = e.experiment_key
WHERE e.name = :name
ORDER BY r.until_day DESC, r.readout_key DESC
LIMIT 1;
