-- Encode: texts of each knowledge version, the one written last first.
SELECT
    k.knowledge_version,
    count(i.user_key) AS texts
FROM liber.knowledge_version AS k
LEFT JOIN liber.interest AS i ON k.knowledge_version = i.knowledge_version
GROUP BY k.knowledge_version
ORDER BY max(i.created_at) DESC NULLS LAST, k.knowledge_version ASC
