-- Partitions whose texts are complete (a shift from P_2 on, unless the version asks for none, or retention removed the
-- texts before it) and that have no vector of this encoder yet.
SELECT
    s.user_key,
    s.partition_no,
    s.text AS summary,
    c.text AS shift
FROM liber.interest AS s
INNER JOIN liber.knowledge_version AS k ON s.knowledge_version = k.knowledge_version
LEFT JOIN liber.interest AS c
    ON
        s.user_key = c.user_key AND s.partition_no = c.partition_no
        AND s.knowledge_version = c.knowledge_version AND c.kind = 'shift'
LEFT JOIN liber.interest_vector AS v
    ON
        s.user_key = v.user_key AND s.partition_no = v.partition_no
        AND s.knowledge_version = v.knowledge_version AND v.encoder_version = :encoder_version
WHERE
    s.kind = 'summary'
    AND s.knowledge_version = :knowledge_version
    AND v.user_key IS NULL
    AND (
        s.partition_no = 1 OR c.text IS NOT NULL OR coalesce(k.parameters ->> 'variant', 'full') <> 'full'
        OR EXISTS (
            SELECT FROM liber.behavior_partition AS p
            WHERE
                p.user_key = s.user_key AND p.partition_no = s.partition_no - 1
                AND p.sealed_at < (SELECT liber.retained_from(:knowledge_version))
        )
    )
ORDER BY s.user_key, s.partition_no
