-- Encode items: new vectors, and those of changed texts. In one order, so that two encoders at once never deadlock.
INSERT INTO liber.item_vector AS v (item_key, encoder_version, vector, text_sha256)
SELECT
    item_key,
    :encoder_version,
    vector,
    text_sha256
FROM item_vector_stage
ORDER BY item_key
ON CONFLICT (item_key, encoder_version) DO UPDATE
    SET vector = excluded.vector, text_sha256 = excluded.text_sha256, created_at = now()
    WHERE v.text_sha256 IS DISTINCT FROM excluded.text_sha256
