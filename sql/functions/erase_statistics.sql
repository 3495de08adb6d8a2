-- Erase: the planner's statistics keep samples of values, and readers may see them. Renew those of some tables that
-- still hold an id, here given as a regular expression; the rows must be deleted already. Returns the tables renewed.
CREATE OR REPLACE FUNCTION liber.erase_statistics(tables text[], id_pattern text) RETURNS SETOF text
LANGUAGE plpgsql
AS $$
DECLARE
    sampled text;
BEGIN
    FOR sampled IN
        SELECT DISTINCT s.tablename
        FROM pg_stats AS s
        INNER JOIN pg_class AS c ON s.tablename = c.relname AND c.relnamespace = 'liber'::regnamespace
        INNER JOIN pg_class AS root ON coalesce(pg_partition_root(c.oid), c.oid) = root.oid
        WHERE
            s.schemaname = 'liber' AND c.relkind IN ('r', 'p') AND root.relname = any(tables)
            AND (
                s.most_common_vals::text ~ id_pattern OR s.histogram_bounds::text ~ id_pattern
                OR s.most_common_elems::text ~ id_pattern
            )
        ORDER BY s.tablename
    LOOP
        EXECUTE format('ANALYZE liber.%I', sampled);
        RETURN NEXT sampled;
    END LOOP;
END
$$;
