-- Learn: what the summaries show that some users miss, oldest first: the partition's behaviours, or, without
-- partitioning, the newest :length ones up to its end. What is said about items only if a version of that is named.
SELECT
    p.user_key,
    p.partition_no,
    coalesce(i.title, i.item_id) AS title,
    i.attributes::text AS attributes,
    b.kind::text AS kind,
    b.rating,
    b.play_seconds,
    k.text AS said
FROM liber.behavior_partition AS p
INNER JOIN liber.behavior AS b
    ON
        p.user_key = b.user_key
        AND b.seq BETWEEN coalesce(p.last_seq - cast(:length AS bigint) + 1, p.first_seq) AND p.last_seq
INNER JOIN liber.item AS i ON b.item_key = i.item_key
LEFT JOIN liber.item_knowledge AS k
    ON i.item_key = k.item_key AND k.knowledge_version = cast(:items AS text)
WHERE
    p.user_key = any(cast(:user_keys AS bigint[]))
    AND p.sealed_at >= (SELECT liber.retained_from(:knowledge_version))
    AND NOT EXISTS (
        SELECT FROM liber.interest AS s
        WHERE
            s.user_key = p.user_key AND s.partition_no = p.partition_no
            AND s.kind = 'summary' AND s.knowledge_version = :knowledge_version
    )
ORDER BY p.user_key, p.partition_no, b.seq
