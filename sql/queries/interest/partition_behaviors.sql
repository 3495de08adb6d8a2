-- Reproduce: behaviours that one prompt shows, oldest first.
SELECT
    b.item_key,
    b.kind::text AS kind,
    b.rating,
    b.play_seconds
FROM liber.behavior_partition AS p
INNER JOIN liber.behavior AS b
    ON
        p.user_key = b.user_key
        AND b.seq BETWEEN coalesce(p.last_seq - cast(:length AS bigint) + 1, p.first_seq) AND p.last_seq
WHERE p.user_key = :user_key AND p.partition_no = :partition_no
ORDER BY b.seq
