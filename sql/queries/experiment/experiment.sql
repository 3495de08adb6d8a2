-- Simulate, metrics, readout: one experiment's definition.
SELECT
    experiment_key,
    name,
    hypothesis,
    salt,
    control_share::float8 AS control_share,
    treatment_share::float8 AS treatment_share,
    starts_at,
    ends_at,
    simulated,
    parameters
FROM liber.experiment
WHERE name = :name;
