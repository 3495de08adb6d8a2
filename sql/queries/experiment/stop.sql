-- Stop: the experiment ends now.
UPDATE liber.experiment SET ends_at = :now, stopped_at = :now WHERE experiment_key = :experiment_key;
