-- Explain: is the user known?
SELECT user_key
FROM liber.user_profile
WHERE user_id = :user_id
