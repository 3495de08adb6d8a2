-- Metrics, readout: how far an experiment's totals have come; no row before the first time.
SELECT until_day, exposed_outside, exposed FROM liber.metric_progress WHERE experiment_key = :experiment_key;
