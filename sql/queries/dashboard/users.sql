-- Dashboard: users to choose from: those with most learnt partitions first.
WITH sealed AS (
    SELECT user_key, count(*) AS partitions FROM liber.behavior_partition GROUP BY user_key
),

texts AS (
    SELECT user_key, count(DISTINCT partition_no) AS learnt FROM liber.interest WHERE kind = 'summary' GROUP BY user_key
)

SELECT
    u.user_id,
    sealed.partitions,
    coalesce(texts.learnt, 0) AS learnt
FROM sealed
INNER JOIN liber.user_profile AS u ON sealed.user_key = u.user_key
LEFT JOIN texts ON sealed.user_key = texts.user_key
ORDER BY learnt DESC, sealed.partitions DESC, u.user_id ASC
LIMIT :n;
