-- Learn: the first users in the order set, whether learnt already or not.
SELECT u.user_key, u.user_id
FROM liber.behavior_partition AS p
INNER JOIN liber.user_profile AS u ON p.user_key = u.user_key
GROUP BY u.user_key, u.user_id
ORDER BY
    CASE WHEN :learn_order = 'newest' THEN max(p.sealed_at) END DESC,
    CASE WHEN :learn_order = 'active' THEN count(*) END DESC,
    u.user_id COLLATE "C" ASC
LIMIT cast(:max_users AS bigint)
