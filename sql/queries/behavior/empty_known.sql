-- Ingest: empty the stage of events to be looked up.
TRUNCATE known_stage
