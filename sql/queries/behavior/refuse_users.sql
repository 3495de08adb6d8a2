-- Ingest: take profiles of erased users out of the stage. An erased user has no profile, so only users seen first are
-- looked up.
DELETE FROM users_stage AS s
USING liber.erasure_key AS k, liber.erasure AS e
WHERE
    NOT EXISTS (SELECT FROM liber.user_profile AS u WHERE u.user_id = s.user_id)
    AND e.readmitted_at IS NULL AND e.user_digest = sha256(k.key || convert_to(s.user_id, 'UTF8'))
