-- Dashboard: experiments that have a readout, the newest readout first.
SELECT e.name
FROM liber.experiment AS e
INNER JOIN liber.readout AS r ON e.experiment_key = r.experiment_key
GROUP BY e.name
ORDER BY max(r.readout_key) DESC;
