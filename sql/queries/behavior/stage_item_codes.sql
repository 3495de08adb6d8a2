-- Ingest: what the codes of items mean. An id may have several codes.
CREATE TEMP TABLE item_codes_stage (
    code bigint NOT NULL,
    item_id text NOT NULL
) ON COMMIT DROP
