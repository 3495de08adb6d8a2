-- Consume: one consumer of a stream at a time. A statement of its own: the one that waits must read the position
-- that the other leaves with a new snapshot.
SELECT f.file_id
FROM liber.ingest_file AS f
WHERE f.sha256 = :sha256 AND f.kind = :kind
FOR UPDATE
