-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- What was counted last, stage by stage: to count anew goes through all texts. One row.
CREATE TABLE liber.pipeline_state (
    one_row boolean PRIMARY KEY DEFAULT TRUE CHECK (one_row),
    counted_at timestamptz NOT NULL,
    seconds real NOT NULL,                            -- that the counting took
    result jsonb NOT NULL                             -- liber_tasks.status.state.State
);

-- What was done in each hour, kept when its rows are erased or superseded. Hours that are over are not counted again.
CREATE TABLE liber.pipeline_hour (
    measure text NOT NULL,                            -- ingest, partition, learn, items, encode; tokens_in, tokens_out
    hour timestamptz NOT NULL,                        -- its start
    n bigint NOT NULL,
    PRIMARY KEY (measure, hour)
);

-- migrate:down
DROP TABLE liber.pipeline_hour, liber.pipeline_state;
