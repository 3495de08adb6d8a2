-- Candidates with the attributes that are features.
SELECT
    item_id,
    title,
    attributes -> 'genres' AS genres,
    attributes -> 'year' AS year
FROM liber.item
WHERE item_id = any(:item_ids)
