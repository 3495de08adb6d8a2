-- Ingest: what codes of items mean.
COPY (
    SELECT
        c.code,
        i.item_key
    FROM item_codes_stage AS c
    INNER JOIN liber.item AS i ON c.item_id = i.item_id
    WHERE c.code > :after AND c.code <= :until
) TO STDOUT WITH BINARY
