-- Efficiency: users drawn among those with a shift to ask for. The same seed draws the same ids in any database, and
-- a larger sample holds the smaller one.
SELECT
    u.user_key,
    u.user_id,
    u.attributes
FROM liber.user_profile AS u
WHERE EXISTS (SELECT FROM liber.behavior_partition AS p WHERE p.user_key = u.user_key AND p.partition_no = 2)
ORDER BY md5(cast(:seed AS text) || ' ' || u.user_id), u.user_key
LIMIT :users
