-- Least privilege: what each login may do with each table. `liber init-db` runs this, as the owner, at its end; a role
-- that does not exist is passed over (infra/create_roles.sql makes them). To change a right, change the table below and
-- its twin in docs/security.md; rights of other roles and on other tables are yours and stay.
--
-- The owner migrates, erases, imports knowledge, builds indexes of vectors. Letters: S select, I insert, U update,
-- D delete, A analyze (MAINTAIN; before PostgreSQL 17 autovacuum does it instead), L lock rows against an erasure:
-- PostgreSQL asks for UPDATE on a column, and the table's trigger refuses the update itself.
DO $$
DECLARE
    roles CONSTANT text[] := '{liber_ingest, liber_learner, liber_trainer, liber_experimenter,
                               liber_observer, liber_reader}';
    newer CONSTANT boolean := current_setting('server_version_num')::integer >= 170000;
    owns_database CONSTANT boolean := (
        SELECT pg_has_role(d.datdba, 'USAGE') FROM pg_database AS d WHERE d.datname = current_database()
    );
    rights record;
    role text;
    privilege text;
BEGIN
    FOREACH role IN ARRAY roles LOOP
        IF to_regrole(role) IS NOT NULL THEN
            IF owns_database THEN
                EXECUTE format('GRANT CONNECT, TEMPORARY ON DATABASE %I TO %I', current_database(), role);
            END IF;
            EXECUTE format('GRANT USAGE ON SCHEMA liber TO %I', role);
            -- of releases before this table: what a migration adds must not be open until somebody thinks of it
            EXECUTE format('ALTER DEFAULT PRIVILEGES IN SCHEMA liber REVOKE ALL ON TABLES FROM %I', role);
        END IF;
    END LOOP;

    FOR rights IN
        SELECT format('liber.%I', t.relation) AS relation, r.name AS role, t.letters[r.place] AS letters
        FROM (
            SELECT v.relation, ARRAY[v.ingest, v.learner, v.trainer, v.experimenter, v.observer, v.reader] AS letters
            FROM (VALUES
                -- relation              ingest  learner  trainer  experimenter  observer  reader
                ('announcement',         'SIU',  'SIU',   '',      '',           'S',      'S'),
                ('behavior',             'SI',   'S',     'S',     'S',          'S',      'S'),
                ('behavior_partition',   'SI',   'SL',    'S',     'S',          'S',      'S'),
                ('encoder',              'S',    'SI',    'S',     '',           'S',      'S'),
                ('erasure',              'S',    '',      '',      '',           '',       ''),
                ('erasure_key',          'S',    '',      '',      '',           '',       ''),
                ('experiment',           '',     '',      '',      'SIU',        'S',      'S'),
                ('exposure',             '',     '',      '',      'SIUA',       'S',      'S'),
                ('ingest_file',          'SIU',  '',      '',      '',           'S',      'S'),
                ('interest',             '',     'SI',    'S',     '',           'S',      'S'),
                ('interest_vector',      '',     'SI',    'S',     '',           'S',      'S'),
                ('item',                 'SIU',  'S',     'S',     'S',          'S',      'S'),
                ('item_encoder',         'S',    'SIU',   'S',     '',           'S',      'S'),
                ('item_knowledge',       '',     'SIU',   'S',     '',           'S',      'S'),
                ('item_past',            'SI',   'S',     'S',     '',           'S',      'S'),
                ('item_vector',          'S',    'SIU',   'S',     '',           'S',      'S'),
                ('knowledge_version',    '',     'SIU',   'S',     '',           'S',      'S'),
                ('llm_call',             '',     'SIU',   '',      '',           'S',      'S'),
                ('metric_age',           '',     '',      '',      'SIU',        'S',      'S'),
                ('metric_progress',      '',     '',      '',      'SIU',        'S',      'S'),
                ('partition_cut',        'SI',   '',      '',      '',           'S',      'S'),
                ('pipeline_hour',        '',     '',      '',      '',           'SIU',    'S'),
                ('pipeline_state',       '',     '',      '',      '',           'SIU',    'S'),
                ('readout',              '',     '',      '',      'SI',         'S',      'S'),
                ('readout_calibration',  '',     '',      '',      'SI',         'S',      'S'),
                ('rejected_row',         'SIU',  '',      '',      '',           'S',      'S'),
                ('retention',            '',     'S',     '',      '',           'S',      'S'),
                ('simulated_play',       '',     '',      '',      'SIA',        'S',      'S'),
                ('user_custom_day',      '',     '',      '',      'SIUA',       'S',      'S'),
                ('user_metric',          '',     '',      '',      'SIUDA',      'S',      'S'),
                ('user_metric_day',      '',     '',      '',      'SIUA',       'S',      'S'),
                ('user_past',            'SI',   'S',     'S',     '',           'S',      'S'),
                ('user_profile',         'SIU',  'S',     'S',     'S',          'S',      'S'),
                ('user_stream',          'SIU',  '',      '',      'S',          'S',      'S'),
                ('experiment_reading',   '',     '',      '',      '',           'S',      'S'),
                ('interest_timeline',    '',     '',      '',      '',           'S',      'S'),
                ('llm_run',              '',     '',      '',      '',           'S',      'S'),
                ('llm_user',             '',     '',      '',      '',           'S',      'S'),
                ('partition_event',      '',     '',      '',      '',           'S',      'S'),
                ('pipeline_status',      '',     '',      '',      '',           'S',      'S'),
                ('readout_current',      '',     '',      '',      '',           'S',      'S')
            ) AS v (relation, ingest, learner, trainer, experimenter, observer, reader)
        ) AS t
        CROSS JOIN unnest(roles) WITH ORDINALITY AS r (name, place)
        WHERE to_regrole(r.name) IS NOT NULL AND to_regclass(format('liber.%I', t.relation)) IS NOT NULL
    LOOP
        EXECUTE format('REVOKE ALL ON %s FROM %I', rights.relation, rights.role);
        FOR privilege IN
            SELECT p.name
            FROM (VALUES
                ('S', 'SELECT'), ('I', 'INSERT'), ('U', 'UPDATE'), ('D', 'DELETE'), ('A', 'MAINTAIN'),
                ('L', 'UPDATE (created_at)')
            ) AS p (letter, name)
            WHERE strpos(rights.letters, p.letter) > 0 AND (newer OR p.letter <> 'A')
        LOOP
            EXECUTE format('GRANT %s ON %s TO %I', privilege, rights.relation, rights.role);
        END LOOP;
    END LOOP;
END
$$;

-- They do what their caller may do, but nobody else has any use for them.
DO $$
DECLARE
    maintenance text;
BEGIN
    FOR maintenance IN
        SELECT p.oid::regprocedure::text
        FROM pg_proc AS p
        WHERE p.pronamespace = 'liber'::regnamespace AND p.proname IN ('erase_rows', 'erase_statistics', 'hash_partition')
    LOOP
        EXECUTE format('REVOKE ALL ON FUNCTION %s FROM PUBLIC', maintenance);
    END LOOP;
END
$$;
