-- Export: the texts about items of one version in the order of the file.
SELECT
    i.item_id,
    k.text,
    k.attributes_sha256,
    k.input_sha256,
    k.prompt_tokens,
    k.completion_tokens,
    k.latency_seconds,
    k.finish_reason
FROM liber.item_knowledge AS k
INNER JOIN liber.item AS i ON k.item_key = i.item_key
WHERE k.knowledge_version = :knowledge_version
ORDER BY i.item_id COLLATE "C" ASC
