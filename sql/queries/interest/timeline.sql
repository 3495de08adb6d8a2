-- Timeline of a user: one row a partition, with the newest knowledge version it was learnt with.
SELECT DISTINCT ON (t.partition_no)
    t.partition_no,
    t.started_at,
    t.ended_at,
    t.n_behaviors,
    t.summary,
    t.shift,
    t.model,
    t.prompt_version,
    t.knowledge_version,
    coalesce(tokens.prompt, 0) AS prompt_tokens,
    coalesce(tokens.completion, 0) AS completion_tokens
FROM liber.interest_timeline AS t
LEFT JOIN liber.knowledge_version AS k ON t.knowledge_version = k.knowledge_version
LEFT JOIN LATERAL (
    SELECT sum(i.prompt_tokens) AS prompt, sum(i.completion_tokens) AS completion
    FROM liber.interest AS i
    WHERE
        i.user_key = :user_key AND i.partition_no = t.partition_no AND i.knowledge_version = t.knowledge_version
) AS tokens ON TRUE
WHERE t.user_id = :user_id
ORDER BY t.partition_no ASC, k.created_at DESC NULLS LAST, t.knowledge_version ASC
