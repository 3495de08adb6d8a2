-- Ingest: binary COPY of the meaning of codes.
COPY user_codes_stage (code, user_id) FROM STDIN (FORMAT "binary")
