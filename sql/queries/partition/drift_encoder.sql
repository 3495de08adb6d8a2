-- Drift: the BERT whose item vectors were written last.
SELECT v.encoder_version
FROM liber.item_vector AS v
LEFT JOIN liber.item_encoder AS e ON v.encoder_version = e.encoder_version
WHERE e.kind IS DISTINCT FROM 'lexical'
ORDER BY v.created_at DESC, v.encoder_version ASC
LIMIT 1
