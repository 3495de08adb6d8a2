-- Ingest: binary COPY of rejected rows into quarantine.
COPY liber.rejected_row (file_id, line, reason, raw) FROM STDIN (FORMAT "binary")
