-- Learn, timeline: keys of the users named.
SELECT user_key, user_id
FROM liber.user_profile
WHERE user_id = any(cast(:user_ids AS text[]))
ORDER BY user_id COLLATE "C" ASC
