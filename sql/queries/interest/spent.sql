-- Learn: what a run has asked and spent so far, so that a task's retry does not begin its budget anew. Calls that were
-- claimed ahead and then not asked, because the time was over, cost nothing.
SELECT
    count(*) FILTER (WHERE state <> 'running' AND coalesce(error, '') NOT LIKE 'not asked:%') AS calls,
    coalesce(sum(coalesce(prompt_tokens, 0) + coalesce(completion_tokens, 0)), 0)::bigint AS tokens
FROM liber.llm_call
WHERE run_id = :run_id
