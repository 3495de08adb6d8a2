-- Ingest: what the file came to.
UPDATE liber.ingest_file
SET
    rows_read = :rows_read,
    accepted = :accepted,
    duplicates = :duplicates,
    rejected = :rejected,
    refused = :refused
WHERE file_id = :file_id
