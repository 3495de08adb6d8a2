-- Retain: remove the texts of some users' old partitions. The locks are those of whoever stores a text, in the order in
-- which an erasure takes them.
WITH old AS (
    SELECT user_key, partition_no
    FROM liber.behavior_partition
    WHERE user_key > :after AND user_key <= :last_key AND sealed_at < :before
    ORDER BY user_key, partition_no
    FOR KEY SHARE
)

DELETE FROM liber.interest AS i
USING old
WHERE
    i.user_key = old.user_key AND i.partition_no = old.partition_no
    AND i.knowledge_version = coalesce(cast(:knowledge_version AS text), i.knowledge_version)
