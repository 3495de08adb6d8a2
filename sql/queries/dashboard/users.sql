-- Dashboard: users to choose from: those with most learnt partitions first. Only so many users with a text, and so many
-- with most partitions, are looked at: with millions of partitions, to count all would take seconds.
WITH RECURSIVE texts AS (
    (SELECT min(user_key) AS user_key, 1 AS place FROM liber.interest)
    UNION ALL
    SELECT (SELECT min(i.user_key) FROM liber.interest AS i WHERE i.user_key > t.user_key), t.place + 1
    FROM texts AS t
    WHERE t.user_key IS NOT NULL AND t.place < :n
),

candidates AS (
    SELECT user_key FROM texts WHERE user_key IS NOT NULL
    UNION
    (
        SELECT user_key
        FROM liber.user_stream
        WHERE last_partition_no > 0
        ORDER BY last_partition_no DESC, user_key ASC
        LIMIT :n
    )
)

SELECT
    u.user_id,
    s.last_partition_no AS partitions,
    (
        SELECT count(DISTINCT i.partition_no)
        FROM liber.interest AS i
        WHERE i.user_key = c.user_key AND i.kind = 'summary'
    ) AS learnt
FROM candidates AS c
INNER JOIN liber.user_profile AS u ON c.user_key = u.user_key
INNER JOIN liber.user_stream AS s ON c.user_key = s.user_key
WHERE s.last_partition_no > 0
ORDER BY learnt DESC, s.last_partition_no DESC, u.user_id ASC
LIMIT :n;
