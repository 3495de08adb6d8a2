-- Plan: mean tokens of the newest calls of each kind, all their tries counted.
SELECT
    n.kind,
    avg(n.prompt_tokens)::float8 AS prompt_tokens,
    avg(n.completion_tokens)::float8 AS completion_tokens
FROM (
    SELECT
        coalesce(kind::text, 'item') AS kind,
        prompt_tokens,
        completion_tokens,
        row_number() OVER (PARTITION BY kind ORDER BY finished_at DESC) AS place
    FROM liber.llm_call
    WHERE state = 'done' AND prompt_tokens > 0
) AS n
WHERE n.place <= :most
GROUP BY n.kind
