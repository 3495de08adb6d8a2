-- Consume: how far a stream is stored.
SELECT
    f.file_id,
    f.rows_read,
    f.position
FROM liber.ingest_file AS f
WHERE f.sha256 = :sha256 AND f.kind = :kind
