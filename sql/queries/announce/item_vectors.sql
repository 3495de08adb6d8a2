-- Vectors of items stored since another run last announced, those of a run that failed before it came to it too, and
-- whose they are.
SELECT
    count(*) AS rows,
    array_agg(DISTINCT e.knowledge_version) FILTER (WHERE e.knowledge_version IS NOT NULL) AS knowledge_versions,
    array_agg(DISTINCT v.encoder_version) AS encoder_versions
FROM liber.item_vector AS v
INNER JOIN liber.item_encoder AS e ON v.encoder_version = e.encoder_version
WHERE v.created_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'item_vectors' AND run <> :run), '-infinity'
)
