-- Tables of experiments are small, and rows from before satisfy what is checked from now on.
-- squawk-ignore-file constraint-missing-not-valid

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- A layer is a set of experiments that exclude each other: each has a slot of the layer's 10,000 buckets.
ALTER TABLE liber.experiment
ADD COLUMN layer text,                 -- null: in no layer
ADD COLUMN slot int4range,             -- null: all of the layer's buckets
ADD COLUMN traffic numeric(5, 4) NOT NULL DEFAULT 1, -- share of the slot, or of all users, that is let in
ADD COLUMN definition jsonb NOT NULL DEFAULT '{}',   -- how it is read: what of its definition has no column
ADD COLUMN stopped_at timestamptz,     -- it was ended by hand, and ends_at is when
ADD COLUMN archived_at timestamptz,    -- hidden, and no exposure is taken any more
ADD CONSTRAINT experiment_traffic CHECK (traffic > 0 AND traffic <= 1),
ADD CONSTRAINT experiment_slot CHECK (
    slot IS NULL OR (layer IS NOT NULL AND NOT isempty(slot) AND slot <@ int4range(0, 10000))
);

-- First time the user was served the other arm, not the one that is the user's; null: never.
ALTER TABLE liber.exposure ADD COLUMN crossed_at timestamptz;

-- migrate:down
ALTER TABLE liber.exposure DROP COLUMN crossed_at;
ALTER TABLE liber.experiment
DROP COLUMN archived_at,
DROP COLUMN stopped_at,
DROP COLUMN definition,
DROP COLUMN traffic,
DROP COLUMN slot,
DROP COLUMN layer;
