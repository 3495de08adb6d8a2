-- Encode items: the frozen weighting of words for a knowledge version (null: attributes alone), the newest if several.
SELECT
    encoder_version,
    lexical,
    fitted_items
FROM liber.item_encoder
WHERE kind = 'lexical' AND knowledge_version IS NOT DISTINCT FROM cast(:knowledge_version AS text)
ORDER BY created_at DESC, encoder_version ASC
LIMIT 1
