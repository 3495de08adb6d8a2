-- Retain: rows of one file that were rejected long ago keep line and reason only.
UPDATE liber.rejected_row
SET raw = NULL
WHERE file_id = :file_id AND rejected_at < :before AND raw IS NOT NULL
