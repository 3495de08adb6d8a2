-- Import: keep the texts about partitions that are new. Of what a text made elsewhere was asked with, only its file is
-- known.
INSERT INTO liber.interest (
    user_key, partition_no, kind, knowledge_version, text, input_sha256, left_out, prompt_tokens, completion_tokens,
    latency_seconds, finish_reason
)
SELECT
    v.user_key,
    s.partition_no,
    s.kind,
    :knowledge_version,
    s.text,
    coalesce(s.input_sha256, :content_sha256),
    s.left_out,
    s.prompt_tokens,
    s.completion_tokens,
    s.latency_seconds,
    s.finish_reason
FROM knowledge_verdict AS v
INNER JOIN knowledge_stage AS s ON v.line = s.line
WHERE v.verdict = 'new'
ORDER BY v.user_key, s.partition_no, s.kind
