-- Ingest: binary COPY of behaviours into their stage.
COPY behaviors_stage (line, event_id, user_id, item_id, event_time, kind, rating, play_seconds, context)
FROM STDIN (FORMAT "binary")
