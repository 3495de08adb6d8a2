-- Ingest: a row for every item seen first; order and conflict as in add_users.
INSERT INTO liber.item (item_id)
SELECT DISTINCT s.item_id
FROM item_codes_stage AS s
WHERE NOT EXISTS (SELECT FROM liber.item AS i WHERE i.item_id = s.item_id)
ORDER BY s.item_id
ON CONFLICT (item_id) DO NOTHING
