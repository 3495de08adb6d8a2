-- Ingest: which of these texts are ids of erased users.
SELECT c.user_id
FROM unnest(cast(:user_ids AS text[])) AS c (user_id)
CROSS JOIN liber.erasure_key AS k
INNER JOIN liber.erasure AS e ON e.user_digest = sha256(k.key || convert_to(c.user_id, 'UTF8'))
WHERE e.readmitted_at IS NULL
