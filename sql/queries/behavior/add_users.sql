-- Ingest: a profile for every user seen first. In one order everywhere, so that two ingesters never deadlock;
-- the conflict is with a concurrent one, which this statement waits for.
INSERT INTO liber.user_profile (user_id)
SELECT DISTINCT s.user_id
FROM user_codes_stage AS s
WHERE NOT EXISTS (SELECT FROM liber.user_profile AS u WHERE u.user_id = s.user_id)
ORDER BY s.user_id
ON CONFLICT (user_id) DO NOTHING
