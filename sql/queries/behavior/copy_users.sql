-- Ingest: binary COPY of users into their stage.
COPY users_stage (line, user_id, attributes) FROM STDIN (FORMAT "binary")
