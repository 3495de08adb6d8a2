-- Define: replace the definition of an experiment; what may change is decided before.
UPDATE liber.experiment
SET
    hypothesis = :hypothesis,
    salt = :salt,
    layer = :layer,
    slot = CASE WHEN :slot_end IS NOT NULL THEN int4range(:slot_first, :slot_end) END,
    traffic = :traffic,
    control_share = :control_share,
    treatment_share = :treatment_share,
    starts_at = :starts_at,
    ends_at = :ends_at,
    definition = cast(:definition AS jsonb)
WHERE name = :name;
