-- Learn: the first users in the order set, whether learnt already or not; of these, the ones of one shard.
SELECT c.user_key
FROM (
    SELECT
        u.user_key,
        row_number() OVER (
            ORDER BY
                CASE WHEN :learn_order = 'newest' THEN max(p.sealed_at) END DESC,
                CASE WHEN :learn_order = 'active' THEN count(*) END DESC,
                u.user_id COLLATE "C" ASC
        ) AS place
    FROM liber.behavior_partition AS p
    INNER JOIN liber.user_profile AS u ON p.user_key = u.user_key
    GROUP BY u.user_key, u.user_id
) AS c
WHERE
    c.place <= coalesce(cast(:max_users AS bigint), c.place)
    AND c.user_key % :shards = :shard
ORDER BY c.place
