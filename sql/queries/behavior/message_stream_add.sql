-- Consume: a row for a stream met first; of two consumers that meet it, one waits here for the other.
INSERT INTO liber.ingest_file (sha256, kind, source, rows_read, accepted, duplicates, rejected)
SELECT
    :sha256,
    :kind,
    :source,
    0,
    0,
    0,
    0
WHERE NOT EXISTS (SELECT FROM liber.ingest_file AS f WHERE f.sha256 = :sha256 AND f.kind = :kind)
ON CONFLICT (sha256, kind) DO NOTHING
