-- The encoder with the most text vectors of items, of equals the newest; no row when there are none.
SELECT
    encoder_version,
    min(vector_dims(vector)) AS dimension
FROM liber.item_vector
GROUP BY encoder_version
ORDER BY count(*) DESC, max(created_at) DESC, encoder_version ASC
LIMIT 1
