-- Define: a new experiment.
INSERT INTO liber.experiment
(
    name, hypothesis, salt, layer, slot, traffic, control_share, treatment_share, starts_at, ends_at, definition
)
VALUES
(
    :name, :hypothesis, :salt, :layer,
    CASE WHEN :slot_end IS NOT NULL THEN int4range(:slot_first, :slot_end) END,
    :traffic, :control_share, :treatment_share, :starts_at, :ends_at, cast(:definition AS jsonb)
);
