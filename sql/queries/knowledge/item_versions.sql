-- Export: knowledge versions that have texts about items, the one with the most first.
WITH counted AS (
    SELECT
        knowledge_version,
        count(*) AS texts
    FROM liber.item_knowledge
    GROUP BY knowledge_version
)

SELECT
    k.knowledge_version,
    k.model,
    k.item_prompt,
    k.parameters,
    k.recipe,
    k.registered
FROM liber.knowledge_version AS k
INNER JOIN counted AS c ON k.knowledge_version = c.knowledge_version
ORDER BY c.texts DESC, k.created_at DESC, k.knowledge_version ASC
