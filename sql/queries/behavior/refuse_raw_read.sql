-- Ingest: raw texts of this load's rejected rows, some at a time.
SELECT
    line,
    raw
FROM liber.rejected_row
WHERE file_id = :file_id AND line >= :from_line AND raw IS NOT NULL
ORDER BY line
LIMIT :most
