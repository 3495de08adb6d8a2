-- Retain: likewise the vectors of some users' old partitions.
WITH old AS (
    SELECT user_key, partition_no
    FROM liber.behavior_partition
    WHERE user_key > :after AND user_key <= :last_key AND sealed_at < :before
    ORDER BY user_key, partition_no
    FOR KEY SHARE
)

DELETE FROM liber.interest_vector AS i
USING old
WHERE
    i.user_key = old.user_key AND i.partition_no = old.partition_no
    AND i.knowledge_version = coalesce(cast(:knowledge_version AS text), i.knowledge_version)
