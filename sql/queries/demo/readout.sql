-- Demo report: the newest readout of an experiment.
SELECT result
FROM liber.readout_current
WHERE experiment = :experiment
