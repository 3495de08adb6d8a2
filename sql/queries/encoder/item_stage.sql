-- Encode items: stage of one batch.
CREATE TEMPORARY TABLE item_vector_stage (
    item_key bigint,
    text_sha256 text,
    vector vector
) ON COMMIT DROP
