-- Timeline of a user: what each partition consists of, oldest first.
SELECT
    p.partition_no,
    coalesce(i.title, i.item_id) AS title,
    b.kind::text AS kind,
    b.rating,
    b.play_seconds
FROM liber.behavior_partition AS p
INNER JOIN liber.behavior AS b ON p.user_key = b.user_key AND b.seq BETWEEN p.first_seq AND p.last_seq
INNER JOIN liber.item AS i ON b.item_key = i.item_key
WHERE p.user_key = :user_key
ORDER BY p.partition_no, b.seq
