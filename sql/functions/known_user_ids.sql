-- Erase again: every external id in a column user_id of the schema's tables. The catalogue is the list of tables, so
-- that a table added later cannot be forgotten.
CREATE OR REPLACE FUNCTION liber.known_user_ids()
RETURNS SETOF text
LANGUAGE plpgsql STABLE
AS $$
DECLARE
    named text;
BEGIN
    FOR named IN
        SELECT c.relname
        FROM pg_class AS c
        INNER JOIN pg_attribute AS a ON c.oid = a.attrelid
        WHERE
            c.relnamespace = 'liber'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attname = 'user_id' AND NOT a.attisdropped
    LOOP
        RETURN QUERY EXECUTE format('SELECT DISTINCT user_id::text FROM liber.%I', named);
    END LOOP;
END
$$;
