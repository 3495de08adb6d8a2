-- Ingest: rows of the stage, without those refused.
SELECT count(*) AS n FROM users_stage
