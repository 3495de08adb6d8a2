-- Define: whether anybody was exposed yet.
SELECT exists(SELECT FROM liber.exposure WHERE experiment_key = :experiment_key);
