-- Ingest: where the good rows of one file of items wait.
CREATE TEMP TABLE items_stage (
    line bigint NOT NULL,
    item_id text NOT NULL,
    title text,
    attributes jsonb NOT NULL
) ON COMMIT DROP
