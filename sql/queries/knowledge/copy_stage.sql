-- Import: COPY of lines into their stage.
COPY knowledge_stage (
    line, item_id, user_id, partition_no, kind, partition_sha256, text, attributes_sha256, input_sha256, left_out,
    prompt_tokens, completion_tokens, latency_seconds, finish_reason, content_sha256, bad, detail
)
FROM STDIN
