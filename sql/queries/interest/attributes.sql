-- Learn: profiles of some users.
SELECT user_key, user_id, attributes
FROM liber.user_profile
WHERE user_key = any(cast(:user_keys AS bigint[]))
