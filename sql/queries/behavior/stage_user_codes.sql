-- Ingest: what the codes of users mean. An id may have several codes.
CREATE TEMP TABLE user_codes_stage (
    code bigint NOT NULL,
    user_id text NOT NULL
) ON COMMIT DROP
