-- The catalogue with the attributes that are features.
SELECT
    item_key,
    item_id,
    attributes -> 'genres' AS genres,
    attributes -> 'year' AS year
FROM liber.item
ORDER BY item_key
