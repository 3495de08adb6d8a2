-- Reproduce: whether there is an item of this id.
SELECT item_key
FROM liber.item
WHERE item_id = :item_id
