-- Erase: metrics being materialised from the user's plays come to their end first (experiment/lock_experiment).
SELECT experiment_key FROM liber.experiment ORDER BY experiment_key FOR NO KEY UPDATE
