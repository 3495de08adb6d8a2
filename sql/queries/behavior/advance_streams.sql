-- Ingest: the locked streams up to their newest behaviour. Returns how many behaviours are new.
WITH advanced AS (
    UPDATE liber.user_stream AS t
    SET last_seq = b.seq, clock = b.effective_time, examined_rule = 0
    FROM (
        SELECT DISTINCT u.user_key
        FROM user_codes_stage AS c
        INNER JOIN liber.user_profile AS u ON c.user_id = u.user_id
    ) AS u
    CROSS JOIN LATERAL (
        SELECT
            newest.seq,
            newest.effective_time
        FROM liber.behavior AS newest
        WHERE newest.user_key = u.user_key
        ORDER BY newest.seq DESC
        LIMIT 1
    ) AS b
    INNER JOIN liber.user_stream AS before ON u.user_key = before.user_key
    WHERE t.user_key = u.user_key AND b.seq > t.last_seq
    RETURNING t.last_seq - before.last_seq AS n
)

SELECT coalesce(sum(n), 0)::bigint AS accepted FROM advanced
