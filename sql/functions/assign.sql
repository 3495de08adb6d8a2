-- Bucket of a user, 0 to 9999: the twin of liber_tasks.experiment.assign.bucket (tests hold both to the same vectors).
-- convert_to is only marked stable because conversions can be replaced; to UTF8 it is fixed. That difference keeps an
-- SQL function from being inlined, and then PL/pgSQL is 2.5 times faster.
CREATE OR REPLACE FUNCTION liber.bucket(salt text, user_id text) RETURNS integer
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
AS $$
BEGIN
    RETURN (
        ('x0' || left(encode(sha256(convert_to(salt || ':' || user_id, 'UTF8')), 'hex'), 15))::bit(64)::bigint % 10000
    )::integer;
END
$$;

-- Arm of a user, null outside the experiment: the twin of liber_tasks.experiment.assign.Assignment.arm_of.
CREATE OR REPLACE FUNCTION liber.arm(experiment liber.experiment, user_id text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    first_bucket CONSTANT integer := coalesce(lower(experiment.slot), 0);
    width CONSTANT integer := coalesce(upper(experiment.slot), 10000) - first_bucket;
    admitted CONSTANT integer := ((experiment.traffic * 10000)::integer * width + 5000) / 10000;
    place integer;
BEGIN
    IF admitted < 10000 THEN
        place := liber.bucket(
            CASE WHEN experiment.layer IS NULL THEN experiment.salt || '/traffic' ELSE 'layer/' || experiment.layer END,
            user_id
        );
        IF place < first_bucket OR place >= first_bucket + admitted THEN
            RETURN NULL;
        END IF;
    END IF;
    place := liber.bucket(experiment.salt, user_id);
    RETURN CASE
        WHEN place < experiment.control_share * 10000 THEN 'control'
        WHEN place < (experiment.control_share + experiment.treatment_share) * 10000 THEN 'treatment'
    END;
END
$$;

-- The same by the experiment's name, for services and analysts. An unknown name is an error: null would look like a
-- user outside.
CREATE OR REPLACE FUNCTION liber.assigned_arm(experiment_name text, user_id text) RETURNS text
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE
AS $$
DECLARE
    experiment liber.experiment;
BEGIN
    SELECT * INTO experiment FROM liber.experiment AS e WHERE e.name = experiment_name;
    IF NOT found THEN
        RAISE EXCEPTION 'Experiment % is unknown: see liber.experiment.', quote_literal(experiment_name)
        USING ERRCODE = 'no_data_found';
    END IF;
    RETURN liber.arm(experiment, user_id);
END
$$;
