-- Retain: the last of the next users in order, whose rows are one batch; null: there is none.
SELECT max(user_key) AS last_key
FROM (
    SELECT user_key FROM liber.user_profile
    WHERE user_key > :after
    ORDER BY user_key
    LIMIT :most
) AS batch
