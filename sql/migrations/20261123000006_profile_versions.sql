-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- States of a profile before its current one, so that a prompt can be rendered again as it was. A row a real change:
-- storage grows with changes, not with uploads. A state held until valid_to; the one before it ends where it begins.
CREATE TABLE liber.item_past (
    item_key bigint NOT NULL,
    valid_to timestamptz NOT NULL,
    title text,
    attributes jsonb NOT NULL,
    PRIMARY KEY (item_key, valid_to)   -- reproduce: the states of a partition's items
);

-- Personal data, so it never outlives the profile it was part of.
CREATE TABLE liber.user_past (
    user_key bigint NOT NULL REFERENCES liber.user_profile ON DELETE CASCADE,
    valid_to timestamptz NOT NULL,
    attributes jsonb NOT NULL,
    PRIMARY KEY (user_key, valid_to)   -- reproduce: the states of a user; erase
);

-- Triggers, because only they see the row that was really replaced: a statement that waited for another's insert
-- overwrites a row its own snapshot does not hold. All changes of one statement share one moment.
--
-- The lock lasts until commit, so that changes become visible in the order of their moments. Without it, a reader
-- could see a later change and miss an earlier one, which is the state of no moment at all. Its number is this
-- file's. The clock may step back: a state still ends after the one before it.
CREATE FUNCTION liber.keep_item_past() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM replaced) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(20261123, 6);
    SELECT greatest(clock_timestamp(), max(newest.valid_to) + interval '1 microsecond') INTO moment
    FROM replaced AS r
    CROSS JOIN LATERAL ( -- by index, however long the past has become
        SELECT p.valid_to FROM liber.item_past AS p WHERE p.item_key = r.item_key ORDER BY p.valid_to DESC LIMIT 1
    ) AS newest;
    INSERT INTO liber.item_past (item_key, valid_to, title, attributes)
    SELECT r.item_key, moment, r.title, r.attributes
    FROM replaced AS r
    INNER JOIN written AS w ON r.item_key = w.item_key
    WHERE (r.title, r.attributes::text) IS DISTINCT FROM (w.title, w.attributes::text);
    RETURN NULL;
END
$$;

CREATE FUNCTION liber.keep_user_past() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moment timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM replaced) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(20261123, 6);
    SELECT greatest(clock_timestamp(), max(newest.valid_to) + interval '1 microsecond') INTO moment
    FROM replaced AS r
    CROSS JOIN LATERAL ( -- by index, however long the past has become
        SELECT p.valid_to FROM liber.user_past AS p WHERE p.user_key = r.user_key ORDER BY p.valid_to DESC LIMIT 1
    ) AS newest;
    INSERT INTO liber.user_past (user_key, valid_to, attributes)
    SELECT r.user_key, moment, r.attributes
    FROM replaced AS r
    INNER JOIN written AS w ON r.user_key = w.user_key
    WHERE r.attributes::text IS DISTINCT FROM w.attributes::text;
    RETURN NULL;
END
$$;

CREATE TRIGGER keep_item_past AFTER UPDATE ON liber.item
REFERENCING OLD TABLE AS replaced NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION liber.keep_item_past();

CREATE TRIGGER keep_user_past AFTER UPDATE ON liber.user_profile
REFERENCING OLD TABLE AS replaced NEW TABLE AS written
FOR EACH STATEMENT EXECUTE FUNCTION liber.keep_user_past();

-- migrate:down
DROP TRIGGER keep_item_past ON liber.item;
DROP TRIGGER keep_user_past ON liber.user_profile;
-- squawk-ignore ban-drop-function
DROP FUNCTION liber.keep_item_past(), liber.keep_user_past();
DROP TABLE liber.item_past, liber.user_past;
