-- Erase again: ids that are in some table, and were erased and re-admitted in a past that this database does not know.
WITH carried AS (
    SELECT
        decode(r.user_digest, 'hex') AS user_digest,
        bool_and(r.readmitted_at IS NOT NULL) AS ended,
        bool_or(e.user_digest IS NULL) AS unknown
    FROM
        jsonb_to_recordset(cast(:records AS jsonb))
            AS r (
                user_digest text, erased_at timestamptz, readmitted_at timestamptz
            )
    LEFT JOIN liber.erasure AS e ON e.user_digest = decode(r.user_digest, 'hex') AND r.erased_at = e.erased_at
    GROUP BY r.user_digest
)

SELECT DISTINCT u.user_id
FROM liber.erasure_key AS k
CROSS JOIN liber.known_user_ids() AS u (user_id)
INNER JOIN carried AS c ON c.user_digest = sha256(k.key || convert_to(u.user_id, 'UTF8'))
WHERE c.ended AND c.unknown
ORDER BY u.user_id
