-- Behaviours of all partitions that have a vector of these versions, oldest first.
SELECT
    v.user_key,
    v.partition_no,
    i.item_id,
    coalesce(i.title, i.item_id) AS title,
    i.attributes::text AS attributes,
    b.kind::text AS kind,
    b.rating,
    b.play_seconds,
    liber.implied_rating(
        cast(:feedback AS jsonb), b.kind, b.rating, b.play_seconds, i.attributes
    ) AS implied_rating
FROM liber.interest_vector AS v
INNER JOIN liber.behavior_partition AS p ON v.user_key = p.user_key AND v.partition_no = p.partition_no
INNER JOIN liber.behavior AS b ON p.user_key = b.user_key AND b.seq BETWEEN p.first_seq AND p.last_seq
INNER JOIN liber.item AS i ON b.item_key = i.item_key
WHERE v.encoder_version = :encoder_version AND v.knowledge_version = :knowledge_version
ORDER BY v.user_key, v.partition_no, b.seq
