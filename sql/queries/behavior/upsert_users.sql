-- Ingest: users of the stage, the last row of a user wins; a user who says the same is left alone.
-- Returns how many were new or changed. A trigger keeps the state that is replaced (liber.user_past).
WITH newest AS (
    SELECT DISTINCT ON (s.user_id)
        s.user_id,
        s.attributes
    FROM users_stage AS s
    ORDER BY s.user_id ASC, s.line DESC
),

changed AS (
    INSERT INTO liber.user_profile AS u (user_id, attributes)
    SELECT
        n.user_id,
        n.attributes
    FROM newest AS n
    ORDER BY n.user_id
    ON CONFLICT (user_id) DO UPDATE
        SET attributes = excluded.attributes, updated_at = now()
        WHERE u.attributes IS DISTINCT FROM excluded.attributes
    RETURNING u.user_key
)

SELECT count(*) AS accepted FROM changed
