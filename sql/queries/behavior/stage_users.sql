-- Ingest: where the good rows of one file of users wait.
CREATE TEMP TABLE users_stage (
    line bigint NOT NULL,
    user_id text NOT NULL,
    attributes jsonb NOT NULL
) ON COMMIT DROP
