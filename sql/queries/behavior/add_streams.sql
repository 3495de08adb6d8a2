-- Ingest: an empty stream for every user seen first; order and conflict as in add_users.
INSERT INTO liber.user_stream (user_key)
SELECT DISTINCT u.user_key
FROM user_codes_stage AS s
INNER JOIN liber.user_profile AS u ON s.user_id = u.user_id
WHERE NOT EXISTS (SELECT FROM liber.user_stream AS t WHERE t.user_key = u.user_key)
ORDER BY u.user_key
ON CONFLICT (user_key) DO NOTHING
