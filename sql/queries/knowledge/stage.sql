-- Import: where the lines of one file wait until all of it is read. A line is about an item or about a partition; one
-- that is not taken has its reason instead.
CREATE TEMP TABLE knowledge_stage (
    line bigint NOT NULL,
    item_id text,
    user_id text,
    partition_no integer,
    kind liber.interest_kind,
    partition_sha256 text,             -- NULL: made elsewhere, and so on
    text text,
    attributes_sha256 text,
    input_sha256 text,
    left_out integer,
    prompt_tokens integer,
    completion_tokens integer,
    latency_seconds real,
    finish_reason text,
    content_sha256 text,               -- of what a line made elsewhere is about and says
    bad text,
    detail text
) ON COMMIT DROP
