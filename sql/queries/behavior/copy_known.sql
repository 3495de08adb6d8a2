-- Ingest: binary COPY of the events to be looked up.
COPY known_stage (place, user_key, event_id) FROM STDIN (FORMAT "binary")
