-- Items: keep answers and close their calls, in one statement and so in one transaction. The text of a changed item
-- replaces the one it had.
WITH answers AS (
    SELECT *
    FROM unnest(
        cast(:call_keys AS text[]),
        cast(:item_keys AS bigint[]),
        cast(:attributes_sha256 AS text[]),
        cast(:texts AS text[]),
        cast(:inputs_sha256 AS text[]),
        cast(:prompt_tokens AS integer[]),
        cast(:completion_tokens AS integer[]),
        cast(:latency_seconds AS real[]),
        cast(:finish_reasons AS text[]),
        cast(:servers AS text[]),
        cast(:spent_prompt_tokens AS integer[]),
        cast(:spent_completion_tokens AS integer[])
    ) AS a (
        call_key, item_key, attributes_sha256, text, input_sha256, prompt_tokens, completion_tokens, latency_seconds,
        finish_reason, server, spent_prompt_tokens, spent_completion_tokens
    )
),

kept AS (
    INSERT INTO liber.item_knowledge (
        item_key, knowledge_version, text, attributes_sha256, input_sha256, prompt_tokens, completion_tokens,
        latency_seconds, finish_reason
    )
    SELECT
        a.item_key,
        :knowledge_version,
        a.text,
        a.attributes_sha256,
        a.input_sha256,
        a.prompt_tokens,
        a.completion_tokens,
        a.latency_seconds,
        a.finish_reason
    FROM answers AS a
    ORDER BY a.item_key
    ON CONFLICT (item_key, knowledge_version) DO UPDATE
        SET
            text = excluded.text,
            attributes_sha256 = excluded.attributes_sha256,
            input_sha256 = excluded.input_sha256,
            prompt_tokens = excluded.prompt_tokens,
            completion_tokens = excluded.completion_tokens,
            latency_seconds = excluded.latency_seconds,
            finish_reason = excluded.finish_reason,
            created_at = now()
)

UPDATE liber.llm_call AS l
SET
    state = 'done',
    error = NULL,
    server = a.server,
    prompt_tokens = coalesce(l.prompt_tokens, 0) + a.spent_prompt_tokens,
    completion_tokens = coalesce(l.completion_tokens, 0) + a.spent_completion_tokens,
    finished_at = now()
FROM answers AS a
WHERE l.call_key = a.call_key
RETURNING l.call_key
