-- Nearest: the encoder and knowledge version with the most vectors among those asked for; of equals, the newest.
SELECT
    encoder_version,
    knowledge_version
FROM liber.interest_vector
WHERE
    encoder_version = coalesce(cast(:encoder_version AS text), encoder_version)
    AND knowledge_version = coalesce(cast(:knowledge_version AS text), knowledge_version)
GROUP BY encoder_version, knowledge_version
ORDER BY count(*) DESC, max(created_at) DESC, encoder_version ASC, knowledge_version ASC
LIMIT 1
