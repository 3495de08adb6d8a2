-- Seal: compact keys of the users asked for.
SELECT
    user_id,
    user_key
FROM liber.user_profile
WHERE user_id = any(:users)
