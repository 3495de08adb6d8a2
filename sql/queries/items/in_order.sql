-- Items: the most popular first, by number of behaviours, whether described already or not; of these, the ones of one
-- shard.
SELECT c.item_key
FROM (
    SELECT
        i.item_key,
        row_number() OVER (ORDER BY coalesce(b.behaviors, 0) DESC, i.item_id COLLATE "C" ASC) AS place
    FROM liber.item AS i
    LEFT JOIN (SELECT item_key, count(*) AS behaviors FROM liber.behavior GROUP BY item_key) AS b
        ON i.item_key = b.item_key
) AS c
WHERE
    c.place <= coalesce(cast(:max_items AS bigint), c.place)
    AND c.item_key % :shards = :shard
ORDER BY c.place
