-- Retain: all that is older than the bound is gone.
UPDATE liber.retention
SET finished_at = now()
WHERE retention_key = :retention_key AND finished_at IS NULL
