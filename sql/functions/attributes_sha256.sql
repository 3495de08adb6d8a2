-- Item knowledge: digest of the state an item is in, over jsonb's own text, in which equal objects are equal.
CREATE OR REPLACE FUNCTION liber.attributes_sha256(title text, attributes jsonb)
RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT encode(sha256(convert_to(jsonb_build_array(title, attributes)::text, 'UTF8')), 'hex')
$$;
