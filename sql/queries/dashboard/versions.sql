-- Dashboard: knowledge versions one user has texts of, newest first, with what they were made with.
SELECT
    k.knowledge_version,
    k.model,
    k.created_at,
    coalesce(k.registered ->> 'summary', k.summary_prompt) AS summary_prompt,
    coalesce(k.registered ->> 'shift', k.shift_prompt) AS shift_prompt,
    coalesce(k.parameters ->> 'variant', 'full') = 'full' AS with_shift
FROM liber.knowledge_version AS k
WHERE
    k.knowledge_version IN (
        SELECT i.knowledge_version
        FROM liber.interest AS i
        INNER JOIN liber.user_profile AS u ON i.user_key = u.user_key
        WHERE u.user_id = :user_id
    )
ORDER BY k.created_at DESC, k.knowledge_version ASC;
