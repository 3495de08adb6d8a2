-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- Secret of this database, made by its first erasure. It makes digests of guessable ids worthless to whoever has the
-- records of erasures but not this row.
CREATE TABLE liber.erasure_key (
    one_row boolean PRIMARY KEY DEFAULT TRUE CHECK (one_row),
    key bytea NOT NULL CHECK (octet_length(key) = 32)
);

-- Who was erased, without saying who: an id is looked up by its digest, never listed.
CREATE TABLE liber.erasure (
    user_digest bytea NOT NULL,        -- sha256(key || id in UTF-8)
    erased_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    readmitted_at timestamptz,         -- null: what comes of this user is refused
    removed jsonb NOT NULL,            -- table -> rows removed
    PRIMARY KEY (user_digest, erased_at)
);

-- Ingest: is this user erased. Erase: one record at a time is in force.
CREATE UNIQUE INDEX erasure_in_force ON liber.erasure (user_digest) WHERE readmitted_at IS NULL;

-- Tables of this schema are readable for liber_reader by default.
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'liber_reader') THEN
        REVOKE ALL ON liber.erasure, liber.erasure_key FROM liber_reader;
    END IF;
END
$$;

ALTER TABLE liber.ingest_file ADD COLUMN refused bigint NOT NULL DEFAULT 0; -- rows of erased users

-- Exposures are written by whoever serves, with statements of their own, so the table itself refuses erased users.
-- The lock is the one that ingest takes: an erasure waits for exposures that are being written, and they for it.
CREATE FUNCTION liber.refuse_erased_users() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog
AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(20261123, 5);
    IF EXISTS (SELECT FROM liber.erasure WHERE readmitted_at IS NULL) THEN
        DELETE FROM liber.exposure AS x
        USING added AS a, liber.erasure_key AS k, liber.erasure AS e
        WHERE
            x.experiment_key = a.experiment_key AND x.user_id = a.user_id AND e.readmitted_at IS NULL
            AND e.user_digest = sha256(k.key || convert_to(a.user_id, 'UTF8'));
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER refuse_erased_users AFTER INSERT ON liber.exposure
REFERENCING NEW TABLE AS added
FOR EACH STATEMENT EXECUTE FUNCTION liber.refuse_erased_users();

-- migrate:down
DROP TRIGGER refuse_erased_users ON liber.exposure;
-- squawk-ignore ban-drop-function
DROP FUNCTION liber.refuse_erased_users();
ALTER TABLE liber.ingest_file DROP COLUMN refused;
DROP TABLE liber.erasure, liber.erasure_key;
