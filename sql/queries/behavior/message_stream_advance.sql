-- Consume: count a batch and move the position behind it, in the batch's own transaction.
UPDATE liber.ingest_file
SET
    rows_read = rows_read + :rows_read,
    accepted = accepted + :accepted,
    duplicates = duplicates + :duplicates,
    rejected = rejected + :rejected,
    refused = refused + :refused,
    position = :position,
    ingested_at = now()
WHERE file_id = :file_id
