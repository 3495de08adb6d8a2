-- Import: keep the texts about items that are new.
INSERT INTO liber.item_knowledge (
    item_key, knowledge_version, text, attributes_sha256, input_sha256, prompt_tokens, completion_tokens,
    latency_seconds, finish_reason
)
SELECT
    v.item_key,
    :knowledge_version,
    s.text,
    s.attributes_sha256,
    s.input_sha256,
    s.prompt_tokens,
    s.completion_tokens,
    s.latency_seconds,
    s.finish_reason
FROM knowledge_verdict AS v
INNER JOIN knowledge_stage AS s ON v.line = s.line
WHERE v.verdict = 'new'
ORDER BY v.item_key
