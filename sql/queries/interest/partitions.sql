-- Learn: partitions of some users with the texts of this version they have. Those whose texts retention removes are as
-- if they were not.
SELECT
    p.user_key,
    p.partition_no,
    s.text AS summary,
    c.text IS NOT NULL AS has_shift
FROM liber.behavior_partition AS p
LEFT JOIN liber.interest AS s
    ON
        p.user_key = s.user_key AND p.partition_no = s.partition_no
        AND s.kind = 'summary' AND s.knowledge_version = :knowledge_version
LEFT JOIN liber.interest AS c
    ON
        p.user_key = c.user_key AND p.partition_no = c.partition_no
        AND c.kind = 'shift' AND c.knowledge_version = :knowledge_version
WHERE p.user_key = any(cast(:user_keys AS bigint[])) AND p.sealed_at >= (SELECT liber.retained_from(:knowledge_version))
ORDER BY p.user_key, p.partition_no
