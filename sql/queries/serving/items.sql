-- Serving: candidates with the attributes that are features; those the model was trained on it knows itself.
SELECT
    item_id,
    attributes -> 'genres' AS genres,
    attributes -> 'year' AS year
FROM liber.item
WHERE item_id = any(:item_ids)
