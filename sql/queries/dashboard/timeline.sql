-- Dashboard: one row a partition of a user, newest first, with the texts of one knowledge version (null: not learnt).
SELECT
    p.partition_no,
    p.started_at,
    p.ended_at,
    p.n_behaviors,
    p.reason::text AS reason,
    s.text AS summary,
    c.text AS shift,
    s.finish_reason AS summary_finish,
    c.finish_reason AS shift_finish,
    CASE WHEN s.text IS NULL THEN liber.texts_removed_at(:knowledge_version, p.sealed_at) END AS removed_at,
    coalesce(s.prompt_tokens, 0) + coalesce(c.prompt_tokens, 0) AS tokens_in,
    coalesce(s.completion_tokens, 0) + coalesce(c.completion_tokens, 0) AS tokens_out,
    coalesce(greatest(s.left_out, c.left_out), 0) AS left_out,
    (
        SELECT coalesce(sum(l.attempts), 0)::integer
        FROM liber.llm_call AS l
        WHERE
            l.user_key = p.user_key AND l.partition_no = p.partition_no AND l.knowledge_version = :knowledge_version
    ) AS calls,
    (
        SELECT array_agg(coalesce(i.title, i.item_id) ORDER BY b.seq DESC)
        FROM liber.behavior AS b
        INNER JOIN liber.item AS i ON b.item_key = i.item_key
        WHERE b.user_key = p.user_key AND b.seq BETWEEN p.first_seq AND p.last_seq
    ) AS items
FROM liber.behavior_partition AS p
INNER JOIN liber.user_profile AS u ON p.user_key = u.user_key
LEFT JOIN liber.interest AS s
    ON
        p.user_key = s.user_key AND p.partition_no = s.partition_no
        AND s.kind = 'summary' AND s.knowledge_version = :knowledge_version
LEFT JOIN liber.interest AS c
    ON
        p.user_key = c.user_key AND p.partition_no = c.partition_no
        AND c.kind = 'shift' AND c.knowledge_version = :knowledge_version
WHERE u.user_id = :user_id
ORDER BY p.partition_no DESC;
