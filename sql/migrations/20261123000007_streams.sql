-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- A message stream (a partition of a Kafka topic, a Redis stream) is a row of ingest_file that grows: sha256 is the
-- digest of its name, the counts are those of all its messages so far, rejected_row.line counts its messages.
-- The position moves in the transaction that stores the messages before it: that makes each of them count once.
ALTER TABLE liber.ingest_file ADD COLUMN position text; -- where to read on; null: a file
COMMENT ON COLUMN liber.ingest_file.position IS 'Streams only: where to read on, in the broker''s own form.';

-- migrate:down
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

ALTER TABLE liber.ingest_file DROP COLUMN position;
