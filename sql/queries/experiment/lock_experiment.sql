-- Metrics, readout: one writer an experiment; a statement of its own, so that what follows sees what the other wrote.
SELECT experiment_key FROM liber.experiment WHERE experiment_key = :experiment_key FOR NO KEY UPDATE;
