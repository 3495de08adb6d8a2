-- Readmit: end a user's erasure. No row: there is none in force.
UPDATE liber.erasure AS e
SET readmitted_at = clock_timestamp()
FROM liber.erasure_key AS k
WHERE e.user_digest = sha256(k.key || convert_to(:user_id, 'UTF8')) AND e.readmitted_at IS NULL
RETURNING e.erased_at, e.readmitted_at
