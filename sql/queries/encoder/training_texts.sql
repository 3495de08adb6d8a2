-- Texts of partitions sealed strictly before the cut (null: all of them): what PCA may see. Order fixes the result.
SELECT i.text
FROM liber.interest AS i
INNER JOIN liber.behavior_partition AS p ON i.user_key = p.user_key AND i.partition_no = p.partition_no
WHERE
    i.knowledge_version = :knowledge_version
    AND (cast(:cut AS timestamptz) IS NULL OR p.sealed_at < cast(:cut AS timestamptz))
ORDER BY i.user_key, i.partition_no, i.kind
