-- Learn: what a run has asked and spent so far, so that a task's retry does not begin its budget anew.
SELECT
    count(*) FILTER (WHERE state <> 'running') AS calls,
    coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)), 0)::bigint AS tokens
FROM liber.llm_call
WHERE run_id = :run_id
