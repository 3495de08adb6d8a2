-- The way back is for a schema that nobody uses yet.
-- squawk-ignore-file ban-drop-column

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- What was removed because it was old. A row comes before the first removal, so that nothing is asked again of which
-- some may be gone; removed counts what is gone so far.
CREATE TABLE liber.retention (
    retention_key bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    subject text NOT NULL CHECK (subject IN ('texts', 'rejected', 'calls')),
    knowledge_version text REFERENCES liber.knowledge_version, -- of the texts; NULL: of every version
    before timestamptz NOT NULL,                               -- what is older goes
    vectors boolean NOT NULL DEFAULT FALSE,                    -- those of the texts went, too
    begun_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,                                   -- NULL: broken off, or at work
    removed jsonb NOT NULL DEFAULT '{}'
);

-- One row a bound, whichever version: a second run of a day goes on with the first one's.
-- squawk-ignore require-concurrent-index-creation
CREATE UNIQUE INDEX retention_bound ON liber.retention (subject, before, coalesce(knowledge_version, ''));

-- A stream's rows come and go under one file; each has a moment of its own.
ALTER TABLE liber.rejected_row ADD COLUMN rejected_at timestamptz NOT NULL DEFAULT now();
UPDATE liber.rejected_row AS r SET rejected_at = f.ingested_at
FROM liber.ingest_file AS f
WHERE r.file_id = f.file_id;

-- migrate:down
ALTER TABLE liber.rejected_row DROP COLUMN rejected_at;
DROP TABLE liber.retention;
