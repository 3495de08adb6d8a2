-- Cost: what learning runs cost, the newest first.
SELECT
    run_id,
    knowledge_version,
    model,
    calls,
    done,
    failed,
    quarantined,
    prompt_tokens,
    completion_tokens,
    started_at,
    finished_at
FROM liber.llm_run
ORDER BY started_at DESC, run_id ASC, knowledge_version ASC
LIMIT :most
