-- Efficiency: every behaviour of the users drawn with its item, oldest first.
SELECT
    b.user_key,
    coalesce(i.title, i.item_id) AS title,
    i.attributes,
    b.kind::text AS kind,
    b.rating,
    b.play_seconds,
    k.text AS said
FROM liber.behavior AS b
INNER JOIN liber.item AS i ON b.item_key = i.item_key
LEFT JOIN liber.item_knowledge AS k
    ON i.item_key = k.item_key AND k.knowledge_version = cast(:items AS text)
WHERE b.user_key = any(cast(:user_keys AS bigint[]))
ORDER BY b.user_key, b.seq
