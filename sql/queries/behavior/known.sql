-- Ingest: which of the staged events their streams hold already, by the unique index.
COPY (
    SELECT k.place
    FROM known_stage AS k
    INNER JOIN liber.behavior AS b ON k.user_key = b.user_key AND k.event_id = b.event_id
) TO STDOUT WITH BINARY
