-- Dashboard: knowledge versions one user has texts of, newest first.
SELECT
    k.knowledge_version,
    k.model,
    k.created_at
FROM liber.knowledge_version AS k
WHERE
    k.knowledge_version IN (
        SELECT i.knowledge_version
        FROM liber.interest AS i
        INNER JOIN liber.user_profile AS u ON i.user_key = u.user_key
        WHERE u.user_id = :user_id
    )
ORDER BY k.created_at DESC, k.knowledge_version ASC;
