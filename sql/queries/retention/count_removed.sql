-- Retain: count what a batch removed, in its transaction.
UPDATE liber.retention
SET
    removed = jsonb_set(
        removed, ARRAY[cast(:name AS text)], to_jsonb(coalesce((removed ->> :name)::bigint, 0) + cast(:rows AS bigint))
    )
WHERE retention_key = :retention_key
