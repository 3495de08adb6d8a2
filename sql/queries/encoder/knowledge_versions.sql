-- Encode: versions that have texts, the one written last first.
SELECT knowledge_version
FROM liber.interest
GROUP BY knowledge_version
ORDER BY max(created_at) DESC, knowledge_version ASC
