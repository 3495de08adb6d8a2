-- Seal: lock a batch of streams in the order that every worker uses. A statement of its own: one that waits for a
-- lock keeps its old snapshot, so only the next statement sees what the other transaction wrote.
SELECT count(*) AS streams
FROM (
    SELECT user_key
    FROM liber.user_stream
    WHERE user_key = any(:users)
    ORDER BY user_key
    FOR UPDATE
) AS locked
