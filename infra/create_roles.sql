-- Once, by an administrator of an external server, in LIBER's database:
--     psql "postgresql://ADMIN@HOST/DATABASE" -v ON_ERROR_STOP=1 -f infra/create_roles.sql
-- then a password each, which psql asks for and hashes before it is sent: \password liber_ingest ...; at last
-- `liber init-db` as the owner, which grants. Without a password nobody can log in with a role. Run again, it does nothing.
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY
        '{liber_ingest, liber_learner, liber_trainer, liber_experimenter, liber_observer, liber_reader}'::text[]
    LOOP
        IF to_regrole(role) IS NULL THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION', role);
        END IF;
    END LOOP;
    -- Everybody may connect to a new database and make temporary tables in it; here, those who were let in.
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
END
$$;
