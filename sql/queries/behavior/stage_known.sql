-- Ingest: events of streams that are not empty, to be looked up.
CREATE TEMP TABLE known_stage (
    place bigint NOT NULL,
    user_key bigint NOT NULL,
    event_id text NOT NULL
) ON COMMIT DROP
