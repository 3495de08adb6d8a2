-- Drift: vectors of some items, each once.
COPY (
    SELECT
        item_key,
        vector
    FROM liber.item_vector
    WHERE encoder_version = :encoder_version AND item_key = any(cast(:items AS bigint[]))
) TO STDOUT WITH BINARY
