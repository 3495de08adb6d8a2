-- Import: what becomes of each line about a partition. A partition's digest is the export's, computed once for all its
-- texts; a line made elsewhere states none. An erased user has no profile, so only unknown ones are looked up. What
-- retention would remove is refused likewise.
CREATE TEMP TABLE knowledge_verdict ON COMMIT DROP AS
WITH users AS MATERIALIZED (
    SELECT
        s.user_id,
        u.user_key,
        u.user_key IS NULL AND EXISTS (
            SELECT
            FROM liber.erasure_key AS k
            INNER JOIN liber.erasure AS e ON e.user_digest = sha256(k.key || convert_to(s.user_id, 'UTF8'))
            WHERE e.readmitted_at IS NULL
        ) AS erased
    FROM (SELECT DISTINCT user_id FROM knowledge_stage WHERE user_id IS NOT NULL) AS s
    LEFT JOIN liber.user_profile AS u ON s.user_id = u.user_id
),

content AS MATERIALIZED (
    SELECT
        p.user_key,
        p.partition_no,
        p.sealed_at,
        encode(sha256(convert_to(e.ids, 'UTF8')), 'hex') AS partition_sha256
    FROM (SELECT DISTINCT user_id, partition_no FROM knowledge_stage) AS s
    INNER JOIN users AS u ON s.user_id = u.user_id
    INNER JOIN liber.behavior_partition AS p ON u.user_key = p.user_key AND s.partition_no = p.partition_no
    CROSS JOIN LATERAL (
        SELECT coalesce(string_agg(char_length(b.event_id) || ':' || b.event_id, '' ORDER BY b.seq), '') AS ids
        FROM liber.behavior AS b
        WHERE b.user_key = p.user_key AND b.seq BETWEEN p.first_seq AND p.last_seq
    ) AS e
)

SELECT
    s.line,
    u.user_key,
    CASE
        WHEN u.erased THEN 'refused'
        WHEN s.bad IS NOT NULL THEN s.bad
        WHEN u.user_key IS NULL THEN 'unknown user'
        WHEN c.user_key IS NULL THEN 'unknown partition'
        WHEN c.sealed_at < (SELECT liber.retained_from(:knowledge_version)) THEN 'refused'
        WHEN c.partition_sha256 <> s.partition_sha256 THEN 'other content'
        WHEN i.user_key IS NULL THEN 'new'
        WHEN i.text = s.text THEN 'there'
        ELSE 'other text'
    END AS verdict
FROM knowledge_stage AS s
LEFT JOIN users AS u ON s.user_id = u.user_id
LEFT JOIN content AS c ON u.user_key = c.user_key AND s.partition_no = c.partition_no
LEFT JOIN liber.interest AS i
    ON
        u.user_key = i.user_key AND s.partition_no = i.partition_no AND s.kind = i.kind
        AND i.knowledge_version = :knowledge_version
