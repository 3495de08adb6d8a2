-- Exposures: the experiment stays as it is (experiment/lock_life) until they are written; many may be at once.
SELECT experiment_key FROM liber.experiment WHERE name = :name FOR KEY SHARE;
