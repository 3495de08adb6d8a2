-- Ingest: binary COPY of behaviours that have their place in their streams.
COPY liber.behavior (
    item_key, user_key, event_id, event_time, kind, rating, play_seconds, context, seq, effective_time
)
FROM STDIN (FORMAT "binary")
