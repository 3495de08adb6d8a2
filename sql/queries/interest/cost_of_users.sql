-- Cost: what the texts of users cost, of one or of the dearest first.
SELECT
    user_id,
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
FROM liber.llm_user
WHERE user_id = coalesce(cast(:user_id AS text), user_id)
ORDER BY prompt_tokens + completion_tokens DESC, user_id ASC, knowledge_version ASC
LIMIT :most
