-- Vectors stored since a run began, by whichever of its tries, and whose they are.
SELECT
    count(*) AS rows,
    array_agg(DISTINCT knowledge_version) AS knowledge_versions,
    array_agg(DISTINCT encoder_version) AS encoder_versions
FROM liber.interest_vector
WHERE created_at >= :since
