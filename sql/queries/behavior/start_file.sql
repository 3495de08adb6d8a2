-- Ingest: claim a file by its content. No row: it is loaded already. Waits while another transaction loads it.
INSERT INTO liber.ingest_file (sha256, kind, source, rows_read, accepted, duplicates, rejected)
VALUES (:sha256, :kind, :source, 0, 0, 0, 0)
ON CONFLICT (sha256, kind) DO NOTHING
RETURNING file_id
