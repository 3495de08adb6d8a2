-- Reproduce: every state of some items, oldest first; the current one has no end. Titles as the query of learning
-- gives them.
SELECT
    s.item_key,
    s.valid_to,
    coalesce(s.title, i.item_id) AS title,
    s.attributes
FROM (
    SELECT item_key, valid_to, title, attributes
    FROM liber.item_past
    WHERE item_key = any(cast(:item_keys AS bigint[]))
    UNION ALL
    SELECT item_key, NULL AS valid_to, title, attributes
    FROM liber.item
    WHERE item_key = any(cast(:item_keys AS bigint[]))
) AS s
INNER JOIN liber.item AS i ON s.item_key = i.item_key
ORDER BY s.item_key ASC, s.valid_to ASC NULLS LAST
