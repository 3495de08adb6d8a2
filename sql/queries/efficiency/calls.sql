-- Efficiency: what the numbers of calls follow from, over all users and over those that have a partition.
WITH behaviors AS (
    SELECT user_key, count(*) AS n
    FROM liber.behavior
    GROUP BY user_key
),

partitions AS (
    SELECT user_key, count(*) AS n
    FROM liber.behavior_partition
    GROUP BY user_key
)

SELECT
    count(*) AS users,
    count(p.n) AS partitioned_users,
    coalesce(sum(p.n), 0)::bigint AS partitions,
    coalesce(sum(p.n - 1), 0)::bigint AS shifts,
    coalesce(sum(b.n), 0)::bigint AS behaviors,
    coalesce(sum(b.n) FILTER (WHERE p.n > 0), 0)::bigint AS partitioned_behaviors
FROM liber.user_profile AS u
LEFT JOIN behaviors AS b ON u.user_key = b.user_key
LEFT JOIN partitions AS p ON u.user_key = p.user_key
