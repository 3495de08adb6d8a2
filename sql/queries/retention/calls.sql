-- Retain: forget some old calls that are closed for good. One that was set aside is remembered, or it would be asked
-- again.
DELETE FROM liber.llm_call
WHERE call_key IN (
    SELECT call_key
    FROM liber.llm_call
    WHERE state IN ('done', 'failed') AND finished_at < :before
    ORDER BY call_key
    LIMIT :most
    FOR UPDATE SKIP LOCKED
)
