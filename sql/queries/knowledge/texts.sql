-- Export: the texts of one version in the order of the file. A partition's digest is that of its event ids in order,
-- each with its length, so that no two lists of ids read the same; it is computed once for all texts of a partition.
WITH learnt AS (
    SELECT DISTINCT user_key, partition_no FROM liber.interest WHERE knowledge_version = :knowledge_version
),

content AS MATERIALIZED (
    SELECT
        p.user_key,
        p.partition_no,
        encode(sha256(convert_to(e.ids, 'UTF8')), 'hex') AS partition_sha256
    FROM learnt AS l
    INNER JOIN liber.behavior_partition AS p ON l.user_key = p.user_key AND l.partition_no = p.partition_no
    CROSS JOIN LATERAL (
        SELECT coalesce(string_agg(char_length(b.event_id) || ':' || b.event_id, '' ORDER BY b.seq), '') AS ids
        FROM liber.behavior AS b
        WHERE b.user_key = p.user_key AND b.seq BETWEEN p.first_seq AND p.last_seq
    ) AS e
)

SELECT
    u.user_id,
    i.partition_no,
    i.kind::text AS kind,
    c.partition_sha256,
    i.text,
    i.input_sha256,
    i.left_out,
    i.prompt_tokens,
    i.completion_tokens,
    i.latency_seconds,
    i.finish_reason
FROM liber.interest AS i
INNER JOIN content AS c ON i.user_key = c.user_key AND i.partition_no = c.partition_no
INNER JOIN liber.user_profile AS u ON i.user_key = u.user_key
WHERE i.knowledge_version = :knowledge_version
ORDER BY u.user_id COLLATE "C" ASC, i.partition_no ASC, i.kind::text COLLATE "C" ASC
