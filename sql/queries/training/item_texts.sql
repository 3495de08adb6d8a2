-- What is known of each item, for comparing by words.
SELECT
    i.item_key,
    i.title,
    i.attributes,
    k.text AS knowledge
FROM liber.item AS i
LEFT JOIN liber.item_knowledge AS k
    ON i.item_key = k.item_key AND k.knowledge_version = cast(:knowledge_version AS text)
ORDER BY i.item_key
