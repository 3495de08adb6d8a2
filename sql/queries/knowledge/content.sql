-- Import: what a file made elsewhere says, whatever the order of its lines.
SELECT content_sha256
FROM knowledge_stage
WHERE bad IS NULL
ORDER BY content_sha256 COLLATE "C"
