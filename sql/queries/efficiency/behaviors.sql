-- Efficiency: every behaviour of the users drawn with its item, oldest first.
SELECT
    b.user_key,
    coalesce(i.title, i.item_id) AS title,
    i.attributes,
    b.kind::text AS kind,
    b.rating,
    b.play_seconds
FROM liber.behavior AS b
INNER JOIN liber.item AS i ON b.item_key = i.item_key
WHERE b.user_key = any(cast(:user_keys AS bigint[]))
ORDER BY b.user_key, b.seq
