-- Ingest: lock the streams of the file's users, in one order everywhere. A statement of its own: one that waits
-- for a lock keeps its old snapshot, so only the next statement sees what the other transaction wrote.
SELECT count(*) AS streams
FROM (
    SELECT t.user_key
    FROM liber.user_stream AS t
    WHERE
        t.user_key IN (
            SELECT u.user_key
            FROM user_codes_stage AS s
            INNER JOIN liber.user_profile AS u ON s.user_id = u.user_id
        )
    ORDER BY t.user_key
    FOR UPDATE OF t
) AS locked
