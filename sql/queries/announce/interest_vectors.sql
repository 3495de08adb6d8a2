-- Vectors stored since another run last announced, those of a run that failed before it came to it too, and whose they
-- are.
SELECT
    count(*) AS rows,
    array_agg(DISTINCT knowledge_version) AS knowledge_versions,
    array_agg(DISTINCT encoder_version) AS encoder_versions
FROM liber.interest_vector
WHERE created_at >= coalesce(
    (SELECT max(up_to) FROM liber.announcement WHERE what = 'interest_vectors' AND run <> :run), '-infinity'
)
