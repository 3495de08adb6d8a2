-- Readmit: the last erasure of a user that has ended; no row for a user who was never erased.
SELECT
    e.erased_at,
    e.readmitted_at
FROM liber.erasure_key AS k
INNER JOIN liber.erasure AS e ON e.user_digest = sha256(k.key || convert_to(:user_id, 'UTF8'))
WHERE e.readmitted_at IS NOT NULL
ORDER BY e.erased_at DESC
LIMIT 1
