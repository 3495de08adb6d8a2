-- Erase again: records that are not here. Of a user who is erased already no second one comes into force.
INSERT INTO liber.erasure (user_digest, erased_at, readmitted_at, removed)
SELECT
    decode(r.user_digest, 'hex'),
    r.erased_at,
    r.readmitted_at,
    r.removed
FROM
    jsonb_to_recordset(cast(:records AS jsonb))
        AS r (
            user_digest text, erased_at timestamptz, readmitted_at timestamptz, removed jsonb
        )
WHERE
    r.readmitted_at IS NOT NULL
    OR NOT EXISTS (
        SELECT FROM liber.erasure AS e
        WHERE e.user_digest = decode(r.user_digest, 'hex') AND e.readmitted_at IS NULL
    )
ON CONFLICT (user_digest, erased_at) DO NOTHING
