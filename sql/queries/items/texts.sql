-- Reproduce: what a version says about some items.
SELECT item_key, text
FROM liber.item_knowledge
WHERE item_key = any(cast(:item_keys AS bigint[])) AND knowledge_version = :items
