-- Encode items: the next items in order of key, what is known of each, and the digest of the text that this encoder has
-- read (null: none).
SELECT
    i.item_key,
    i.title,
    i.attributes,
    k.text AS knowledge,
    v.text_sha256
FROM liber.item AS i
LEFT JOIN liber.item_knowledge AS k ON i.item_key = k.item_key AND k.knowledge_version = :knowledge_version
LEFT JOIN liber.item_vector AS v ON i.item_key = v.item_key AND v.encoder_version = :encoder_version
WHERE i.item_key > :after
ORDER BY i.item_key
LIMIT :page
