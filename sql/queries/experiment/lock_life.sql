-- Life cycle: a change waits for exposures and metrics that are being written (experiment/hold_open, lock_experiment),
-- and they for it. No row: there is no such experiment.
SELECT experiment_key FROM liber.experiment WHERE name = :name FOR UPDATE;
