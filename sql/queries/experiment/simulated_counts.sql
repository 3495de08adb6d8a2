-- Simulate: what an existing simulated experiment holds.
SELECT
    (SELECT count(*) FROM liber.exposure WHERE experiment_key = :experiment_key AND arm = 'control') AS control,
    (SELECT count(*) FROM liber.exposure WHERE experiment_key = :experiment_key AND arm = 'treatment') AS treatment,
    (SELECT count(*) FROM liber.simulated_play WHERE experiment_key = :experiment_key) AS plays;
