-- Ingest: rejected rows of erased users keep line and reason only.
UPDATE liber.rejected_row
SET raw = NULL
WHERE file_id = :file_id AND line = any(cast(:lines AS bigint[]))
