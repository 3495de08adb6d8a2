-- Learn: summaries of these users that another version asked for in the same words of the same model are this version's
-- too; a changed shift prompt costs no summary. The oldest one counts.
INSERT INTO liber.interest (
    user_key, partition_no, kind, knowledge_version, text, input_sha256, left_out, prompt_tokens, completion_tokens,
    latency_seconds, finish_reason
)
SELECT
    p.user_key,
    p.partition_no,
    'summary',
    :knowledge_version,
    s.text,
    s.input_sha256,
    s.left_out,
    s.prompt_tokens,
    s.completion_tokens,
    s.latency_seconds,
    s.finish_reason
FROM (
    SELECT DISTINCT ON (i.user_key, i.partition_no) i.*
    FROM liber.interest AS i
    INNER JOIN liber.knowledge_version AS k ON i.knowledge_version = k.knowledge_version
    WHERE
        i.user_key = any(cast(:user_keys AS bigint[]))
        AND i.kind = 'summary'
        AND k.parameters ->> 'summary_origin' = :summary_origin
        AND k.knowledge_version <> :knowledge_version
    ORDER BY i.user_key, i.partition_no, i.created_at, i.knowledge_version
) AS s
INNER JOIN liber.behavior_partition AS p ON s.user_key = p.user_key AND s.partition_no = p.partition_no
WHERE p.sealed_at >= (SELECT liber.retained_from(:knowledge_version))
ORDER BY p.user_key, p.partition_no
FOR KEY SHARE OF p
ON CONFLICT (user_key, partition_no, kind, knowledge_version) DO NOTHING
