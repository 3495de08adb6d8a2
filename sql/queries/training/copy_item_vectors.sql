-- Text vectors of the catalogue, of one encoder. Fixed-width binary rows.
-- `WITH BINARY` is the older spelling of `(FORMAT binary)`, which the linter cannot parse after a query.
COPY (
    SELECT
        item_key,
        vector
    FROM liber.item_vector
    WHERE encoder_version = :encoder_version
    ORDER BY item_key
) TO STDOUT WITH BINARY
