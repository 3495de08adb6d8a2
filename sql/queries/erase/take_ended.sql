-- Erase again: records that are here, and ended since.
UPDATE liber.erasure AS e
SET readmitted_at = r.readmitted_at
FROM
    jsonb_to_recordset(cast(:records AS jsonb))
        AS r (
            user_digest text, erased_at timestamptz, readmitted_at timestamptz
        )
WHERE
    e.user_digest = decode(r.user_digest, 'hex') AND e.erased_at = r.erased_at AND e.readmitted_at IS NULL
    AND r.readmitted_at IS NOT NULL
