-- Ingest: where the good rows of one file wait; one stage a transaction, gone with it.
CREATE TEMP TABLE behaviors_stage (
    line bigint NOT NULL,
    event_id text NOT NULL,
    user_id text NOT NULL,
    item_id text NOT NULL,
    event_time timestamptz NOT NULL,
    kind text NOT NULL,
    rating real,
    play_seconds real,
    context jsonb
) ON COMMIT DROP
