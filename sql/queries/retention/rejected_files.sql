-- Retain: files with raw text of rows that were rejected long ago.
SELECT DISTINCT file_id
FROM liber.rejected_row
WHERE rejected_at < :before AND raw IS NOT NULL
ORDER BY file_id
