-- Ingest: the locked streams up to their newest behaviour. Returns how many behaviours are new.
WITH users AS (
    SELECT DISTINCT u.user_key
    FROM user_codes_stage AS c
    INNER JOIN liber.user_profile AS u ON c.user_id = u.user_id
),

-- Two index probes a user.
newest AS (
    SELECT
        u.user_key,
        t.last_seq AS seq_before,
        (
            SELECT b.seq FROM liber.behavior AS b
            WHERE b.user_key = u.user_key
            ORDER BY b.seq DESC LIMIT 1
        ) AS seq,
        (
            SELECT b.effective_time FROM liber.behavior AS b
            WHERE b.user_key = u.user_key
            ORDER BY b.seq DESC LIMIT 1
        ) AS clock
    FROM users AS u
    INNER JOIN liber.user_stream AS t ON u.user_key = t.user_key
),

advanced AS (
    UPDATE liber.user_stream AS t
    SET last_seq = n.seq, clock = n.clock, examined_rule = 0
    FROM newest AS n
    WHERE t.user_key = n.user_key AND n.seq > n.seq_before
    RETURNING n.seq - n.seq_before AS appended
)

SELECT coalesce(sum(appended), 0)::bigint AS accepted FROM advanced
