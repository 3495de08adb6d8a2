-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

CREATE SCHEMA liber;
CREATE EXTENSION IF NOT EXISTS vector;

-- Profiles. External ids are text; the compact key is ours and leads every other key.
CREATE TABLE liber.user_profile (
    user_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    user_id text NOT NULL UNIQUE,
    attributes jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE liber.item (
    item_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_id text NOT NULL UNIQUE,
    title text,
    attributes jsonb NOT NULL DEFAULT '{}',
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- One row a file that was loaded whole; a checksum seen before makes a re-run a no-op.
CREATE TABLE liber.ingest_file (
    file_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    sha256 text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('behaviors', 'items', 'users')),
    source text NOT NULL,
    rows_read bigint NOT NULL,
    accepted bigint NOT NULL,
    duplicates bigint NOT NULL,
    rejected bigint NOT NULL,
    ingested_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (sha256, kind)
);

CREATE TABLE liber.rejected_row (
    file_id bigint NOT NULL REFERENCES liber.ingest_file,
    line bigint NOT NULL,
    reason text NOT NULL,
    raw text,
    PRIMARY KEY (file_id, line)
);

CREATE TYPE liber.behavior_kind AS ENUM ('play', 'rating', 'purchase', 'click');

-- Append-only. No foreign keys: they cost more than the rest of the load; ingest resolves both keys itself.
CREATE TABLE liber.behavior (
    user_key bigint NOT NULL,
    seq bigint NOT NULL,               -- dense per user, from 1, in arrival order
    item_key bigint NOT NULL,
    event_time timestamptz NOT NULL,
    effective_time timestamptz NOT NULL, -- max(event_time, effective_time of seq - 1)
    ingested_at timestamptz NOT NULL DEFAULT now(),
    rating real,
    play_seconds real,
    kind liber.behavior_kind NOT NULL,
    event_id text NOT NULL,
    context jsonb,
    PRIMARY KEY (user_key, seq),
    UNIQUE (user_key, event_id)        -- ingest: the same event again is a no-op
);

-- Algorithm 1's state, one row a user. The cache is the range of seq [first_unsealed_seq, last_seq].
CREATE TABLE liber.user_stream (
    user_key bigint PRIMARY KEY,
    last_seq bigint NOT NULL DEFAULT 0,
    first_unsealed_seq bigint NOT NULL DEFAULT 1,
    last_partition_no integer NOT NULL DEFAULT 0,
    clock timestamptz NOT NULL DEFAULT '-infinity' -- effective time of last_seq
) WITH (fillfactor = 70);

-- Seal: the users that can have something to seal, without reading the others.
CREATE INDEX user_stream_cache_size ON liber.user_stream ((last_seq - first_unsealed_seq + 1));

CREATE TYPE liber.partition_reason AS ENUM ('count', 'gap', 'age', 'model');

-- Long-term behaviour memory. Rows are immutable: nothing updates them.
CREATE TABLE liber.behavior_partition (
    user_key bigint NOT NULL,
    partition_no integer NOT NULL,     -- j of P_j, from 1
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    n_behaviors integer NOT NULL,
    started_at timestamptz NOT NULL,   -- effective time of first_seq
    ended_at timestamptz NOT NULL,     -- effective time of last_seq
    sealed_at timestamptz NOT NULL,    -- event time at which the condition held
    reason liber.partition_reason NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_key, partition_no)
);

-- Announce: what was sealed since a run began. The table grows in this order, so a BRIN is enough.
CREATE INDEX behavior_partition_created_at ON liber.behavior_partition USING brin (created_at);

-- migrate:down
DROP SCHEMA liber CASCADE;
