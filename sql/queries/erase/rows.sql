-- Erase: the user's rows in every table that has any.
SELECT
    table_name,
    removed
FROM liber.erase_rows(cast(:user_key AS bigint), cast(:user_id AS text))
WHERE removed > 0
