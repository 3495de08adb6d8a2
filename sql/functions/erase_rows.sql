-- Erase: delete a user's rows from every table of the schema that has a column user_key or user_id. The catalogue is
-- the list of tables, so that a table added later cannot be forgotten. user_profile goes last: others may refer to it.
-- A user without a profile has no key, but may have rows under the id. Returns each table with the rows removed.
CREATE OR REPLACE FUNCTION liber.erase_rows(erased_key bigint, erased_id text)
RETURNS TABLE (table_name text, removed bigint)
LANGUAGE plpgsql
AS $$
DECLARE
    named_by text;
BEGIN
    FOR table_name, named_by IN
        SELECT c.relname, max(a.attname) -- user_key where a table has both
        FROM pg_class AS c
        INNER JOIN pg_attribute AS a ON c.oid = a.attrelid
        WHERE
            c.relnamespace = 'liber'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
            AND a.attname IN ('user_key', 'user_id') AND NOT a.attisdropped
        GROUP BY c.relname
        ORDER BY c.relname = 'user_profile', c.relname
    LOOP
        IF named_by = 'user_key' THEN
            EXECUTE format('DELETE FROM liber.%I WHERE user_key = $1', table_name) USING erased_key;
        ELSE
            EXECUTE format('DELETE FROM liber.%I WHERE user_id = $1', table_name) USING erased_id;
        END IF;
        GET DIAGNOSTICS removed = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
END
$$;
