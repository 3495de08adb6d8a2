-- Learn: what a run has asked and spent so far, and how long ago it began, so that a task's retry does not begin its
-- budget anew. Calls that were claimed and given back without an answer do not count.
SELECT
    count(*) FILTER (
        WHERE state IN ('done', 'quarantined')
        OR (state = 'failed' AND error NOT LIKE 'not asked%' AND error NOT LIKE 'interrupted%')
    ) AS calls,
    coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)), 0)::bigint AS tokens,
    coalesce(extract(EPOCH FROM now() - min(started_at)), 0)::float8 AS seconds
FROM liber.llm_call
WHERE run_id = :run_id
