-- Erase: the record of this user's erasure; no row for a user who is not erased.
SELECT
    e.user_digest,
    e.erased_at,
    e.removed
FROM liber.erasure_key AS k
INNER JOIN liber.erasure AS e ON e.user_digest = sha256(k.key || convert_to(:user_id, 'UTF8'))
WHERE e.readmitted_at IS NULL
