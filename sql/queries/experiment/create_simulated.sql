-- Simulate: claim the name of a simulated experiment. A name that is taken gives no row; a concurrent claim waits.
INSERT INTO liber.experiment
(name, hypothesis, salt, control_share, treatment_share, starts_at, ends_at, simulated, parameters)
VALUES
(
    :name, :hypothesis, :salt, :control_share, :treatment_share, :starts_at, :ends_at, true,
    cast(:parameters AS jsonb)
)
ON CONFLICT (name) DO NOTHING
RETURNING experiment_key;
