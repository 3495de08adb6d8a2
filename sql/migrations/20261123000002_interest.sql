-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';


-- What a text was made with: model, prompts, parameters. Texts of different versions never mix.
CREATE TABLE liber.knowledge_version (
    knowledge_version text PRIMARY KEY,
    model text NOT NULL,
    summary_prompt text NOT NULL,      -- name/version in MLflow's prompt registry, or name/sha256
    shift_prompt text NOT NULL,
    parameters jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TYPE liber.interest_kind AS ENUM ('summary', 'shift');

-- klg^s_j and klg^c_j (paper, Eq. 2 and 3). Written once, together with its call's ledger row.
CREATE TABLE liber.interest (
    user_key bigint NOT NULL,
    partition_no integer NOT NULL,
    kind liber.interest_kind NOT NULL,
    knowledge_version text NOT NULL REFERENCES liber.knowledge_version,
    text text NOT NULL,
    input_sha256 text NOT NULL,        -- of the rendered prompt
    prompt_tokens integer,
    completion_tokens integer,
    latency_seconds real NOT NULL,
    finish_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_key, partition_no, kind, knowledge_version)
);

CREATE TYPE liber.call_state AS ENUM ('running', 'done', 'failed', 'quarantined');

-- Ledger: one row a call key, however often it is attempted.
CREATE TABLE liber.llm_call (
    call_key text PRIMARY KEY,         -- sha256 of user, partition, kind, input, prompt, model, parameters
    user_key bigint NOT NULL,
    partition_no integer NOT NULL,
    kind liber.interest_kind NOT NULL,
    knowledge_version text NOT NULL REFERENCES liber.knowledge_version,
    state liber.call_state NOT NULL,
    attempts integer NOT NULL DEFAULT 1,
    error text,                        -- of the last failed attempt
    run_id text NOT NULL,              -- Airflow run or command that made the last attempt
    started_at timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);

-- Learn: skip the quarantined; erase and status: calls of a partition.
CREATE INDEX llm_call_partition ON liber.llm_call (user_key, partition_no, kind);

-- Encoder with its frozen PCA. The name is a digest of everything that shapes a vector.
CREATE TABLE liber.encoder (
    encoder_version text PRIMARY KEY,
    model text NOT NULL,
    pooling text NOT NULL,
    dtype text NOT NULL,
    dimension integer NOT NULL,
    pca_sha256 text NOT NULL,
    pca bytea NOT NULL,                -- npz: mean (d_in,), components (d, d_in), float32
    fitted_texts integer NOT NULL,
    fitted_before timestamptz,         -- texts of partitions sealed strictly before this event time
    explained_variance real NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- r_j (paper, Eq. 4).
CREATE TABLE liber.interest_vector (
    user_key bigint NOT NULL,
    partition_no integer NOT NULL,
    encoder_version text NOT NULL REFERENCES liber.encoder,
    knowledge_version text NOT NULL REFERENCES liber.knowledge_version,
    vector vector NOT NULL,            -- encoder.dimension numbers
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (user_key, partition_no, encoder_version, knowledge_version)
);

-- Announce: what was encoded since a run began.
CREATE INDEX interest_vector_created_at ON liber.interest_vector USING brin (created_at);

-- migrate:down
DROP TABLE liber.interest_vector, liber.encoder, liber.llm_call, liber.interest, liber.knowledge_version;
DROP TYPE liber.call_state, liber.interest_kind;
