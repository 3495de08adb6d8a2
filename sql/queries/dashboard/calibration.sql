-- Dashboard: the newest A/A calibration of one experiment's readout.
SELECT
    c.until_day,
    c.result,
    c.created_at
FROM liber.readout_calibration AS c
INNER JOIN liber.experiment AS e ON c.experiment_key = e.experiment_key
WHERE e.name = :name
ORDER BY c.until_day DESC, c.created_at DESC
LIMIT 1;
