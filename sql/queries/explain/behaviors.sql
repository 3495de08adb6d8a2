-- Explain: what the closed partitions of a user consist of, oldest first, and what is known of each item.
SELECT
    p.partition_no,
    p.started_at,
    p.ended_at,
    b.item_key,
    liber.implied_rating(cast(:feedback AS jsonb), b.kind, b.rating, b.play_seconds, i.attributes) AS rating,
    i.item_id,
    i.title,
    i.attributes,
    k.text AS knowledge
FROM liber.user_profile AS u
INNER JOIN liber.behavior_partition AS p ON u.user_key = p.user_key
INNER JOIN liber.behavior AS b ON p.user_key = b.user_key AND b.seq BETWEEN p.first_seq AND p.last_seq
INNER JOIN liber.item AS i ON b.item_key = i.item_key
LEFT JOIN liber.item_knowledge AS k
    ON i.item_key = k.item_key AND k.knowledge_version = cast(:knowledge_version AS text)
WHERE u.user_id = :user_id
ORDER BY p.sealed_at, p.partition_no, b.seq
