-- Ingest: binary COPY of items into their stage.
COPY items_stage (line, item_id, title, attributes) FROM STDIN (FORMAT "binary")
