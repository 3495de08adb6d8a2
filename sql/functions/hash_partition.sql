-- Scale: make a table of this schema anew as some hash partitions by user_key (paper, Algorithm 1 needs nothing but a
-- user's own rows). Columns, constraints, indexes, triggers and dependent views keep their names, so that every
-- statement works unchanged; every unique key must hold user_key. The table must be empty: the caller has it locked
-- and has looked.
CREATE OR REPLACE FUNCTION liber.hash_partition(table_name text, partitions integer) RETURNS void
LANGUAGE plpgsql
AS $$
DECLARE
    plain CONSTANT regclass := format('liber.%I', table_name)::regclass;
    view_names text[];
    again text[]; -- statements
    statement text;
BEGIN
    SELECT array_agg(DISTINCT format('%I.%I', n.nspname, v.relname)) INTO view_names
    FROM pg_depend AS d
    INNER JOIN pg_rewrite AS r ON d.objid = r.oid
    INNER JOIN pg_class AS v ON r.ev_class = v.oid AND v.relkind = 'v'
    INNER JOIN pg_namespace AS n ON v.relnamespace = n.oid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjid = plain;

    SELECT array_agg(s.definition ORDER BY s.step, s.definition) INTO again
    FROM (
        SELECT
            1 AS step,
            format('ALTER TABLE liber.%I ADD CONSTRAINT %I %s', table_name, c.conname, pg_get_constraintdef(c.oid))
                AS definition
        FROM pg_constraint AS c
        WHERE c.conrelid = plain AND c.contype IN ('p', 'u', 'f')
        UNION ALL
        SELECT 2, pg_get_indexdef(i.indexrelid)
        FROM pg_index AS i
        WHERE i.indrelid = plain AND NOT EXISTS (SELECT FROM pg_constraint AS c WHERE c.conindid = i.indexrelid)
        UNION ALL
        SELECT 3, pg_get_triggerdef(t.oid)
        FROM pg_trigger AS t
        WHERE t.tgrelid = plain AND NOT t.tgisinternal
        UNION ALL
        SELECT 4, format('CREATE VIEW %s AS %s', v.name, pg_get_viewdef(v.name::regclass))
        FROM unnest(view_names) AS v (name)
    ) AS s;

    -- the old table has to be there for LIKE, and gone before its names are used again
    EXECUTE format(
        'CREATE TABLE liber.hash_partition_new (LIKE %s INCLUDING ALL EXCLUDING INDEXES) PARTITION BY HASH (user_key)',
        plain
    );
    IF view_names IS NOT NULL THEN
        EXECUTE format('DROP VIEW %s', array_to_string(view_names, ', '));
    END IF;
    EXECUTE format('DROP TABLE %s', plain);
    EXECUTE format('ALTER TABLE liber.hash_partition_new RENAME TO %I', table_name);
    FOR number IN 0..partitions - 1 LOOP
        EXECUTE format(
            'CREATE TABLE liber.%I PARTITION OF liber.%I FOR VALUES WITH (MODULUS %s, REMAINDER %s)',
            format('%s_h%s', table_name, lpad(number::text, length((partitions - 1)::text), '0')),
            table_name, partitions, number
        );
    END LOOP;
    FOREACH statement IN ARRAY again LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
