-- Erase again: files with raw text of rejected rows.
SELECT DISTINCT file_id FROM liber.rejected_row
WHERE raw IS NOT NULL
ORDER BY file_id
