-- Encode items: knowledge versions with texts about items, those with the most first.
SELECT knowledge_version
FROM liber.item_knowledge
GROUP BY knowledge_version
ORDER BY count(*) DESC, max(created_at) DESC, knowledge_version ASC
