-- Archive: hide the experiment and take no exposure any more.
UPDATE liber.experiment SET archived_at = :now WHERE experiment_key = :experiment_key;
