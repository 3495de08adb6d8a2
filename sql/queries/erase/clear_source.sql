-- Erase: names of ingested files that hold the id, such as exports of one user. A stream's row has a position; its name
-- is the operator's, and a consumer may hold its lock while it waits for this transaction.
UPDATE liber.ingest_file AS f
SET source = regexp_replace(f.source, :id_pattern, '[erased]', 'g')
WHERE
    f.file_id IN (
        SELECT g.file_id
        FROM liber.ingest_file AS g
        WHERE g.position IS NULL AND g.source ~ :id_pattern
        FOR UPDATE SKIP LOCKED
    )
