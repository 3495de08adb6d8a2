-- The knowledge version that was written last.
SELECT knowledge_version
FROM liber.interest
GROUP BY knowledge_version
ORDER BY max(created_at) DESC, knowledge_version ASC
LIMIT 1
