-- Import: where the lines of one file wait until all of it is read and found whole.
CREATE TEMP TABLE knowledge_stage (
    line bigint NOT NULL,
    user_id text NOT NULL,
    partition_no integer NOT NULL,
    kind liber.interest_kind NOT NULL,
    partition_sha256 text NOT NULL,
    text text NOT NULL,
    input_sha256 text NOT NULL,
    left_out integer NOT NULL,
    prompt_tokens integer,
    completion_tokens integer,
    latency_seconds real NOT NULL,
    finish_reason text
) ON COMMIT DROP
