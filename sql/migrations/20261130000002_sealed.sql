-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- A sealed partition never changes. Learners lock its row against an erasure (FOR KEY SHARE), for which PostgreSQL asks
-- the right to update a column; the update itself is refused here. The owner may repair.
CREATE FUNCTION liber.refuse_change() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog
AS $$
BEGIN
    IF pg_has_role((SELECT c.relowner FROM pg_class AS c WHERE c.oid = tg_relid), 'USAGE') THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION 'A sealed partition never changes.' USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER refuse_change BEFORE UPDATE ON liber.behavior_partition
FOR EACH STATEMENT EXECUTE FUNCTION liber.refuse_change();

-- migrate:down
DROP TRIGGER refuse_change ON liber.behavior_partition;
-- squawk-ignore ban-drop-function
DROP FUNCTION liber.refuse_change();
