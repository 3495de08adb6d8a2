-- Registry: everything known of a frozen weighting of words.
SELECT
    encoder_version,
    kind,
    knowledge_version,
    model,
    dimension,
    fitted_items,
    fitted_before,
    lexical
FROM liber.item_encoder
WHERE encoder_version = :encoder_version AND kind = 'lexical'
