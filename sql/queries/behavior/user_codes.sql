-- Ingest: what codes of users mean, with the state of their locked streams. An erased user has no profile.
COPY (
    SELECT
        c.code,
        t.user_key,
        t.last_seq,
        t.clock
    FROM user_codes_stage AS c
    INNER JOIN liber.user_profile AS u ON c.user_id = u.user_id
    INNER JOIN liber.user_stream AS t ON u.user_key = t.user_key
    WHERE c.code > :after AND c.code <= :until
) TO STDOUT WITH BINARY
