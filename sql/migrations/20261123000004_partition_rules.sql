-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- What the last seal found in a cache, so that the next one looks only at streams that can have something to seal.
-- 0: behaviours or cut points came since. Otherwise the digest of the rule that was applied: under that rule nothing
-- can be due before `due_at` (event time).
ALTER TABLE liber.user_stream
ADD COLUMN examined_rule bigint NOT NULL DEFAULT 0,
ADD COLUMN due_at timestamptz NOT NULL DEFAULT 'infinity';

-- Seal by time: streams not examined under this rule, or due by the watermark.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX user_stream_due ON liber.user_stream (examined_rule, due_at);

-- Partition points that a model requested (paper, section 3.2: model-based condition). Any model may fill it; what is
-- sealed already stays as it is.
CREATE TABLE liber.partition_cut (
    user_key bigint NOT NULL,
    decided_seq bigint NOT NULL,       -- the behaviour whose arrival made the model decide
    last_seq bigint NOT NULL,          -- the behaviour that closes the partition
    model text NOT NULL,
    score real,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_key, decided_seq),
    CHECK (last_seq BETWEEN 1 AND decided_seq)
);

-- migrate:down
DROP TABLE liber.partition_cut;
ALTER TABLE liber.user_stream DROP COLUMN due_at, DROP COLUMN examined_rule;
