-- Erase: the record, without the id.
INSERT INTO liber.erasure (user_digest, removed)
SELECT
    sha256(k.key || convert_to(:user_id, 'UTF8')),
    cast(:removed AS jsonb)
FROM liber.erasure_key AS k
RETURNING erased_at
