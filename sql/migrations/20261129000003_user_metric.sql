-- A table of readouts is small: its column is filled and checked in one go.
-- squawk-ignore-file adding-not-nullable-field, ban-drop-constraint, require-concurrent-index-deletion
-- squawk-ignore-file constraint-missing-not-valid

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- One row an exposed user: totals of the days before metric_progress.until_day. A readout reads this table once.
CREATE TABLE liber.user_metric (
    experiment_key integer NOT NULL REFERENCES liber.experiment ON DELETE CASCADE,
    user_id text NOT NULL,
    arm text NOT NULL,
    exposed_at timestamptz NOT NULL,
    wrong_arm boolean NOT NULL,                       -- not the arm that the user's bucket gives
    left_out text CHECK (left_out IN ('crossed', 'bot')), -- null: counted
    play_count double precision NOT NULL,
    play_seconds double precision NOT NULL,
    active_days double precision NOT NULL,            -- days with a play
    pre_play_count double precision NOT NULL,
    pre_play_seconds double precision NOT NULL,
    pre_active_days double precision NOT NULL,
    custom double precision[] NOT NULL,              -- in the order of the definition's own metrics
    pre_custom double precision[] NOT NULL,
    segment text[] NOT NULL,                         -- values, in the order of the definition's segments
    digest bigint NOT NULL,                           -- two hashes of the row: sums tell whether any row has changed
    digest_2 bigint NOT NULL,
    PRIMARY KEY (experiment_key, user_id)
);

-- How far user_metric has come. Going back to an earlier day is allowed: its rows are then made anew.
CREATE TABLE liber.metric_progress (
    experiment_key integer PRIMARY KEY REFERENCES liber.experiment ON DELETE CASCADE,
    until_day date NOT NULL,
    exposed_outside bigint NOT NULL,                  -- exposures outside the experiment's time
    exposed jsonb NOT NULL                            -- counted users by arm and day of exposure
);

-- A metric of the experiment's own SQL, per user and day. Days without a row are zeros.
CREATE TABLE liber.user_custom_day (
    experiment_key integer NOT NULL REFERENCES liber.experiment ON DELETE CASCADE,
    user_id text NOT NULL,
    day date NOT NULL,
    metric text NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (experiment_key, user_id, day, metric)
);

-- Sums over users by days since their first exposure, per calendar day: lift by age is one small read.
CREATE TABLE liber.metric_age (
    experiment_key integer NOT NULL REFERENCES liber.experiment ON DELETE CASCADE,
    day date NOT NULL,
    age integer NOT NULL,
    arm text NOT NULL,
    play_count double precision NOT NULL,
    play_count_squares double precision NOT NULL,
    play_seconds double precision NOT NULL,
    play_seconds_squares double precision NOT NULL,
    PRIMARY KEY (experiment_key, day, age, arm)
);

-- False-positive rates over random splits of the experiment's own users.
CREATE TABLE liber.readout_calibration (
    experiment_key integer NOT NULL REFERENCES liber.experiment ON DELETE CASCADE,
    until_day date NOT NULL,
    input_sha256 text NOT NULL,
    result jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (experiment_key, input_sha256)
);

-- Days arrive in order, so that their range tells blocks apart.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX user_metric_day_by_day ON liber.user_metric_day
USING brin (experiment_key, day) WITH (pages_per_range = 32);

ALTER TABLE liber.readout ADD COLUMN until_day date; -- the first day that was not read
UPDATE liber.readout SET
    until_day = coalesce((result #>> '{method,days,1}')::date, (watermark AT TIME ZONE 'UTC')::date);
ALTER TABLE liber.readout ADD CONSTRAINT readout_until_day CHECK (until_day IS NOT NULL) NOT VALID;
ALTER TABLE liber.readout VALIDATE CONSTRAINT readout_until_day;
ALTER TABLE liber.readout ALTER COLUMN until_day SET NOT NULL;
ALTER TABLE liber.readout DROP CONSTRAINT readout_until_day;

-- migrate:down
ALTER TABLE liber.readout DROP COLUMN until_day;
DROP INDEX liber.user_metric_day_by_day;
DROP TABLE
liber.readout_calibration, liber.metric_age, liber.user_custom_day, liber.metric_progress, liber.user_metric;
