-- Drift: length of the vectors of some items; null when none of them has one.
SELECT max(vector_dims(vector)) AS dimension
FROM liber.item_vector
WHERE encoder_version = :encoder_version AND item_key = any(cast(:items AS bigint[]))
