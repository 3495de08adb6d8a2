-- Ingest: take profiles of erased users out of the stage. An erased user has no profile, so only users seen first are
-- looked up. Returns how many rows were refused.
WITH mentioned AS MATERIALIZED (
    SELECT DISTINCT s.user_id FROM users_stage AS s
),

first_seen AS (
    SELECT m.user_id
    FROM mentioned AS m
    WHERE NOT EXISTS (SELECT FROM liber.user_profile AS u WHERE u.user_id = m.user_id)
),

erased AS (
    SELECT f.user_id
    FROM first_seen AS f
    CROSS JOIN liber.erasure_key AS k
    INNER JOIN liber.erasure AS e ON e.user_digest = sha256(k.key || convert_to(f.user_id, 'UTF8'))
    WHERE e.readmitted_at IS NULL
),

refused AS (
    DELETE FROM users_stage AS s
    USING erased AS e
    WHERE s.user_id = e.user_id
    RETURNING s.line
)

SELECT count(*) AS refused FROM refused
