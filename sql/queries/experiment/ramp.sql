-- Ramp: let this share in.
UPDATE liber.experiment SET traffic = :traffic WHERE experiment_key = :experiment_key;
