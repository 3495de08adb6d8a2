-- Partitions sealed since a run began, by whichever of its tries, and of how many users.
SELECT
    count(*) AS rows,
    count(DISTINCT user_key) AS users
FROM liber.behavior_partition
WHERE created_at >= :since
