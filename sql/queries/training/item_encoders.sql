-- What encodes items with the texts of a knowledge version (null: attributes alone): of each kind the newest that has
-- encoded all it was fitted on.
SELECT DISTINCT ON (kind)
    kind,
    encoder_version,
    dimension,
    cast(centre AS real[]) AS centre,
    lexical
FROM liber.item_encoder
WHERE knowledge_version IS NOT DISTINCT FROM cast(:knowledge_version AS text) AND centre IS NOT NULL
ORDER BY kind ASC, created_at DESC, encoder_version ASC
