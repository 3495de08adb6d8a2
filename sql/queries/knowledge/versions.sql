-- Export: knowledge versions that have texts, the newest first.
SELECT
    k.knowledge_version,
    k.model,
    k.summary_prompt,
    k.shift_prompt,
    k.parameters,
    k.recipe,
    k.registered
FROM liber.knowledge_version AS k
WHERE EXISTS (SELECT FROM liber.interest AS i WHERE i.knowledge_version = k.knowledge_version)
ORDER BY k.created_at DESC, k.knowledge_version ASC
