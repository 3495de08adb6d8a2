-- Read: vectors of some users; user_row is the place, from 0, of the user's id among those asked for. OFFSET 0 keeps
-- the planner to one look-up by primary key for each user: it would rather read the whole of user_profile.
COPY (
    WITH asked AS (
        SELECT
            user_id,
            place
        FROM unnest(cast(:user_ids AS text[])) WITH ORDINALITY AS given (user_id, place)
    )

    SELECT
        asked.place - 1 AS user_row,
        u.user_key,
        v.partition_no,
        v.vector
    FROM asked,
        LATERAL (
            SELECT p.user_key
            FROM liber.user_profile AS p
            WHERE p.user_id = asked.user_id
            ORDER BY p.user_id
            OFFSET 0
        ) AS u,
        LATERAL (
            SELECT
                i.partition_no,
                i.vector
            FROM liber.interest_vector AS i
            WHERE
                i.user_key = u.user_key
                AND i.encoder_version = :encoder_version AND i.knowledge_version = :knowledge_version
            ORDER BY i.partition_no
            OFFSET 0
        ) AS v
) TO STDOUT WITH BINARY
