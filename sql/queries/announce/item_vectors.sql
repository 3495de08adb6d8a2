-- Vectors of items stored since a run began, by whichever of its tries, and whose they are.
SELECT
    count(*) AS rows,
    array_agg(DISTINCT e.knowledge_version) FILTER (WHERE e.knowledge_version IS NOT NULL) AS knowledge_versions,
    array_agg(DISTINCT v.encoder_version) AS encoder_versions
FROM liber.item_vector AS v
INNER JOIN liber.item_encoder AS e ON v.encoder_version = e.encoder_version
WHERE v.created_at >= :since
