-- Explain: vectors of some items, of one encoder.
SELECT
    item_key,
    cast(vector AS real[]) AS vector
FROM liber.item_vector
WHERE encoder_version = :encoder_version AND item_key = any(cast(:item_keys AS bigint[]))
