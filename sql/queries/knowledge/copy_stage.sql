-- Import: COPY of lines into their stage.
COPY knowledge_stage (
    line, user_id, partition_no, kind, partition_sha256, text, input_sha256, left_out, prompt_tokens,
    completion_tokens, latency_seconds, finish_reason
)
FROM STDIN
