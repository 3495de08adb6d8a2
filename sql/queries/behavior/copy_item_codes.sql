-- Ingest: binary COPY of the meaning of codes.
COPY item_codes_stage (code, item_id) FROM STDIN (FORMAT "binary")
