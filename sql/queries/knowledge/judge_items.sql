-- Import: what becomes of each line about an item.
CREATE TEMP TABLE knowledge_verdict ON COMMIT DROP AS
SELECT
    s.line,
    i.item_key,
    CASE
        WHEN s.bad IS NOT NULL THEN s.bad
        WHEN i.item_key IS NULL THEN 'unknown item'
        WHEN k.item_key IS NULL THEN 'new'
        WHEN k.text = s.text THEN 'there'
        ELSE 'other text'
    END AS verdict
FROM knowledge_stage AS s
LEFT JOIN liber.item AS i ON s.item_id = i.item_id
LEFT JOIN liber.item_knowledge AS k ON i.item_key = k.item_key AND k.knowledge_version = :knowledge_version
