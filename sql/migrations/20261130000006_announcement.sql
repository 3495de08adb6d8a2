-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- Up to when a run of a DAG has told the DAGs behind it what is new. By this database's clock, as the rows' own times.
CREATE TABLE liber.announcement (
    what text NOT NULL,    -- partitions, vectors, items, item_vectors
    run text NOT NULL,
    up_to timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (what, run)
);

-- migrate:down
DROP TABLE liber.announcement;
