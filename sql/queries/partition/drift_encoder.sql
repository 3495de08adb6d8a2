-- Drift: the encoder whose item vectors were written last.
SELECT encoder_version
FROM liber.item_vector
ORDER BY created_at DESC, encoder_version ASC
LIMIT 1
