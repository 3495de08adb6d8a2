-- Learn: keep answers and close their calls, in one statement and so in one transaction. A partition that was erased
-- meanwhile, or became too old to keep a text of, gets none; the locks make an erasure wait for this transaction, so
-- that it finds what is written here; everybody takes them in the order of partitions.
WITH answers AS (
    SELECT *
    FROM unnest(
        cast(:call_keys AS text[]),
        cast(:user_keys AS bigint[]),
        cast(:partition_nos AS integer[]),
        cast(:kinds AS liber.interest_kind[]),
        cast(:texts AS text[]),
        cast(:inputs_sha256 AS text[]),
        cast(:left_out AS integer[]),
        cast(:prompt_tokens AS integer[]),
        cast(:completion_tokens AS integer[]),
        cast(:latency_seconds AS real[]),
        cast(:finish_reasons AS text[]),
        cast(:servers AS text[]),
        cast(:spent_prompt_tokens AS integer[]),
        cast(:spent_completion_tokens AS integer[])
    ) AS a (
        call_key, user_key, partition_no, kind, text, input_sha256, left_out, prompt_tokens, completion_tokens,
        latency_seconds, finish_reason, server, spent_prompt_tokens, spent_completion_tokens
    )
),

kept AS (
    INSERT INTO liber.interest (
        user_key, partition_no, kind, knowledge_version, text, input_sha256, left_out, prompt_tokens,
        completion_tokens, latency_seconds, finish_reason
    )
    SELECT
        p.user_key,
        p.partition_no,
        a.kind,
        :knowledge_version,
        a.text,
        a.input_sha256,
        a.left_out,
        a.prompt_tokens,
        a.completion_tokens,
        a.latency_seconds,
        a.finish_reason
    FROM answers AS a
    INNER JOIN liber.behavior_partition AS p ON a.user_key = p.user_key AND a.partition_no = p.partition_no
    WHERE p.sealed_at >= (SELECT liber.retained_from(:knowledge_version))
    ORDER BY p.user_key, p.partition_no, a.kind
    FOR KEY SHARE OF p
    ON CONFLICT (user_key, partition_no, kind, knowledge_version) DO NOTHING
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
