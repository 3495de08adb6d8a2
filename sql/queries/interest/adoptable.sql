-- Learn, dry run: summaries that these users miss and that another version asked for in the same words of the same
-- model: a run takes them over and asks nothing.
SELECT count(*) AS summaries
FROM liber.behavior_partition AS p
WHERE
    p.user_key = any(cast(:user_keys AS bigint[]))
    AND p.sealed_at >= (SELECT liber.retained_from(:knowledge_version))
    AND EXISTS (
        SELECT FROM liber.interest AS i
        INNER JOIN liber.knowledge_version AS k ON i.knowledge_version = k.knowledge_version
        WHERE
            i.user_key = p.user_key AND i.partition_no = p.partition_no AND i.kind = 'summary'
            AND k.parameters ->> 'summary_origin' = :summary_origin
            AND k.knowledge_version <> :knowledge_version
    )
    AND NOT EXISTS (
        SELECT FROM liber.interest AS s
        WHERE
            s.user_key = p.user_key AND s.partition_no = p.partition_no
            AND s.kind = 'summary' AND s.knowledge_version = :knowledge_version
    )
    AND NOT EXISTS (
        SELECT FROM liber.llm_call AS l
        WHERE
            l.user_key = p.user_key AND l.partition_no = p.partition_no
            AND l.kind = 'summary' AND l.knowledge_version = :knowledge_version AND l.state = 'quarantined'
    )
