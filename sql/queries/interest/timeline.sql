-- Timeline of a user: one row a partition, with its texts of the version named, else of the newest it was learnt with.
WITH summaries AS (
    SELECT DISTINCT ON (p.partition_no)
        p.user_key,
        p.partition_no,
        p.started_at,
        p.ended_at,
        p.n_behaviors,
        p.sealed_at,
        s.knowledge_version,
        s.text,
        s.prompt_tokens,
        s.completion_tokens,
        s.left_out,
        s.finish_reason,
        k.model,
        k.summary_prompt,
        k.shift_prompt,
        k.registered,
        k.parameters
    FROM liber.behavior_partition AS p
    LEFT JOIN liber.interest AS s
        ON
            p.user_key = s.user_key AND p.partition_no = s.partition_no AND s.kind = 'summary'
            AND s.knowledge_version = coalesce(cast(:knowledge_version AS text), s.knowledge_version)
    LEFT JOIN liber.knowledge_version AS k ON s.knowledge_version = k.knowledge_version
    WHERE p.user_key = :user_key
    ORDER BY p.partition_no ASC, k.created_at DESC NULLS LAST, s.knowledge_version ASC
)

SELECT
    s.partition_no,
    s.started_at,
    s.ended_at,
    s.n_behaviors,
    s.text AS summary,
    c.text AS shift,
    s.model,
    s.summary_prompt || ' + ' || s.shift_prompt AS prompt_version,
    s.knowledge_version,
    coalesce(s.prompt_tokens, 0) + coalesce(c.prompt_tokens, 0) AS prompt_tokens,
    coalesce(s.completion_tokens, 0) + coalesce(c.completion_tokens, 0) AS completion_tokens,
    coalesce(s.registered ->> 'summary', s.summary_prompt) AS summary_prompt,
    coalesce(s.registered ->> 'shift', s.shift_prompt) AS shift_prompt,
    coalesce(s.parameters ->> 'variant', 'full') = 'full' AS with_shift,
    coalesce(greatest(s.left_out, c.left_out), 0) AS left_out,
    s.finish_reason AS summary_finish,
    c.finish_reason AS shift_finish,
    CASE
        WHEN s.text IS NULL THEN liber.texts_removed_at(cast(:knowledge_version AS text), s.sealed_at)
    END AS removed_at,
    (
        SELECT coalesce(sum(l.attempts), 0)::integer
        FROM liber.llm_call AS l
        WHERE
            l.user_key = s.user_key AND l.partition_no = s.partition_no AND l.knowledge_version = s.knowledge_version
    ) AS calls
FROM summaries AS s
LEFT JOIN liber.interest AS c
    ON
        s.user_key = c.user_key AND s.partition_no = c.partition_no AND c.kind = 'shift'
        AND s.knowledge_version = c.knowledge_version
ORDER BY s.partition_no
