-- Simulate, metrics, readout, life cycle: one experiment, or all (:name null), the last to start first.
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
    parameters,
    layer,
    lower(slot) AS slot_first,
    upper(slot) AS slot_end,
    traffic::float8 AS traffic,
    definition,
    stopped_at,
    archived_at
FROM liber.experiment
WHERE cast(:name AS text) IS NULL OR name = :name
ORDER BY starts_at DESC, name ASC;
