-- Retain, dry run: texts of old partitions by version, and partitions among them that no encoder has read.
SELECT
    i.knowledge_version,
    count(*) AS texts,
    count(*) FILTER (
        WHERE i.kind = 'summary'
        AND NOT EXISTS (
            SELECT FROM liber.interest_vector AS v
            WHERE
                v.user_key = i.user_key AND v.partition_no = i.partition_no
                AND v.knowledge_version = i.knowledge_version
        )
    ) AS unread
FROM liber.interest AS i
INNER JOIN liber.behavior_partition AS p ON i.user_key = p.user_key AND i.partition_no = p.partition_no
WHERE
    p.sealed_at < :before
    AND i.knowledge_version = coalesce(cast(:knowledge_version AS text), i.knowledge_version)
GROUP BY i.knowledge_version
ORDER BY i.knowledge_version
