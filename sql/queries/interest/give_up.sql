-- Learn: calls that ended without a text, why, and what all their tries cost.
UPDATE liber.llm_call AS l
SET
    state = cast(:state AS liber.call_state),
    error = e.error,
    prompt_tokens = coalesce(l.prompt_tokens, 0) + e.prompt_tokens,
    completion_tokens = coalesce(l.completion_tokens, 0) + e.completion_tokens,
    finished_at = now()
FROM
    unnest(
        cast(:call_keys AS text[]),
        cast(:errors AS text[]),
        cast(:prompt_tokens AS integer[]),
        cast(:completion_tokens AS integer[])
    ) AS e (call_key, error, prompt_tokens, completion_tokens)
WHERE l.call_key = e.call_key
