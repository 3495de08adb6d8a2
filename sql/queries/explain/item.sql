-- Explain: the candidate, and what is known of it.
SELECT
    i.item_key,
    i.item_id,
    i.title,
    i.attributes,
    k.text AS knowledge
FROM liber.item AS i
LEFT JOIN liber.item_knowledge AS k
    ON i.item_key = k.item_key AND k.knowledge_version = cast(:knowledge_version AS text)
WHERE i.item_id = :item_id
