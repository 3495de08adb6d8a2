-- Status: what each knowledge version's LLM calls cost, the newest version first.
WITH cost AS (
    SELECT
        knowledge_version,
        sum(attempts)::bigint AS calls,
        count(*) FILTER (WHERE state = 'done') AS done,
        coalesce(sum(prompt_tokens), 0)::bigint AS prompt_tokens,
        coalesce(sum(completion_tokens), 0)::bigint AS completion_tokens,
        coalesce(sum(extract(EPOCH FROM finished_at - started_at)) FILTER (WHERE state = 'done'), 0)::float8 AS seconds
    FROM liber.llm_call
    GROUP BY knowledge_version
)

SELECT
    k.knowledge_version,
    k.model,
    c.calls,
    c.done,
    c.prompt_tokens,
    c.completion_tokens,
    c.seconds
FROM liber.knowledge_version AS k
INNER JOIN cost AS c ON k.knowledge_version = c.knowledge_version
ORDER BY k.created_at DESC, k.knowledge_version ASC
LIMIT 20;
