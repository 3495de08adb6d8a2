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
