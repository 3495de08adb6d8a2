-- Timeline of a user: knowledge versions there are texts of, the newest first.
SELECT k.knowledge_version
FROM liber.knowledge_version AS k
WHERE
    EXISTS (
        SELECT FROM liber.interest AS i
        WHERE i.user_key = :user_key AND i.knowledge_version = k.knowledge_version
    )
ORDER BY k.created_at DESC, k.knowledge_version ASC
