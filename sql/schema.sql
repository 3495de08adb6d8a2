-- The sum of sql/migrations, written by `make schema`: read it, never edit it. Functions and views: sql/functions.

SET check_function_bodies = false;
SELECT pg_catalog.set_config('search_path', '', false);

CREATE SCHEMA liber;

CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA public;

CREATE TYPE liber.behavior_kind AS ENUM (
    'play',
    'rating',
    'purchase',
    'click'
);

CREATE TYPE liber.call_state AS ENUM (
    'running',
    'done',
    'failed',
    'quarantined'
);

CREATE TYPE liber.interest_kind AS ENUM (
    'summary',
    'shift'
);

CREATE TYPE liber.partition_reason AS ENUM (
    'count',
    'gap',
    'age',
    'model'
);

CREATE FUNCTION liber.keep_item_past() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    moment timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM replaced) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(20261123, 6);
    SELECT greatest(clock_timestamp(), max(newest.valid_to) + interval '1 microsecond') INTO moment
    FROM replaced AS r
    CROSS JOIN LATERAL ( -- by index, however long the past has become
        SELECT p.valid_to FROM liber.item_past AS p WHERE p.item_key = r.item_key ORDER BY p.valid_to DESC LIMIT 1
    ) AS newest;
    INSERT INTO liber.item_past (item_key, valid_to, title, attributes)
    SELECT r.item_key, moment, r.title, r.attributes
    FROM replaced AS r
    INNER JOIN written AS w ON r.item_key = w.item_key
    WHERE (r.title, r.attributes::text) IS DISTINCT FROM (w.title, w.attributes::text);
    RETURN NULL;
END
$$;

CREATE FUNCTION liber.keep_user_past() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
DECLARE
    moment timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM replaced) THEN
        RETURN NULL;
    END IF;
    PERFORM pg_advisory_xact_lock(20261123, 6);
    SELECT greatest(clock_timestamp(), max(newest.valid_to) + interval '1 microsecond') INTO moment
    FROM replaced AS r
    CROSS JOIN LATERAL ( -- by index, however long the past has become
        SELECT p.valid_to FROM liber.user_past AS p WHERE p.user_key = r.user_key ORDER BY p.valid_to DESC LIMIT 1
    ) AS newest;
    INSERT INTO liber.user_past (user_key, valid_to, attributes)
    SELECT r.user_key, moment, r.attributes
    FROM replaced AS r
    INNER JOIN written AS w ON r.user_key = w.user_key
    WHERE r.attributes::text IS DISTINCT FROM w.attributes::text;
    RETURN NULL;
END
$$;

CREATE FUNCTION liber.refuse_erased_users() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog'
    AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared(20261123, 5);
    IF EXISTS (SELECT FROM liber.erasure WHERE readmitted_at IS NULL) THEN
        DELETE FROM liber.exposure AS x
        USING added AS a, liber.erasure_key AS k, liber.erasure AS e
        WHERE
            x.experiment_key = a.experiment_key AND x.user_id = a.user_id AND e.readmitted_at IS NULL
            AND e.user_digest = sha256(k.key || convert_to(a.user_id, 'UTF8'));
    END IF;
    RETURN NULL;
END
$$;

CREATE TABLE liber.announcement (
    what text NOT NULL,
    run text NOT NULL,
    up_to timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE liber.behavior (
    user_key bigint NOT NULL,
    seq bigint NOT NULL,
    item_key bigint NOT NULL,
    event_time timestamp with time zone NOT NULL,
    effective_time timestamp with time zone NOT NULL,
    ingested_at timestamp with time zone DEFAULT now() NOT NULL,
    rating real,
    play_seconds real,
    kind liber.behavior_kind NOT NULL,
    event_id text NOT NULL,
    context jsonb
);

CREATE TABLE liber.behavior_partition (
    user_key bigint NOT NULL,
    partition_no integer NOT NULL,
    first_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    n_behaviors integer NOT NULL,
    started_at timestamp with time zone NOT NULL,
    ended_at timestamp with time zone NOT NULL,
    sealed_at timestamp with time zone NOT NULL,
    reason liber.partition_reason NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE liber.encoder (
    encoder_version text NOT NULL,
    model text NOT NULL,
    pooling text NOT NULL,
    dtype text NOT NULL,
    dimension integer NOT NULL,
    pca_sha256 text NOT NULL,
    pca bytea NOT NULL,
    fitted_texts integer NOT NULL,
    fitted_before timestamp with time zone,
    explained_variance real NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE liber.erasure (
    user_digest bytea NOT NULL,
    erased_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    readmitted_at timestamp with time zone,
    removed jsonb NOT NULL
);

CREATE TABLE liber.erasure_key (
    one_row boolean DEFAULT true NOT NULL,
    key bytea NOT NULL,
    CONSTRAINT erasure_key_key_check CHECK ((octet_length(key) = 32)),
    CONSTRAINT erasure_key_one_row_check CHECK (one_row)
);

CREATE TABLE liber.experiment (
    experiment_key integer NOT NULL,
    name text NOT NULL,
    hypothesis text NOT NULL,
    salt text NOT NULL,
    control_share numeric(6,4) NOT NULL,
    treatment_share numeric(6,4) NOT NULL,
    starts_at timestamp with time zone NOT NULL,
    ends_at timestamp with time zone NOT NULL,
    simulated boolean DEFAULT false NOT NULL,
    parameters jsonb DEFAULT '{}'::jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    layer text,
    slot int4range,
    traffic numeric(5,4) DEFAULT 1 NOT NULL,
    definition jsonb DEFAULT '{}'::jsonb NOT NULL,
    stopped_at timestamp with time zone,
    archived_at timestamp with time zone,
    CONSTRAINT experiment_check CHECK (((treatment_share > (0)::numeric) AND ((control_share + treatment_share) <= (1)::numeric))),
    CONSTRAINT experiment_check1 CHECK ((ends_at > starts_at)),
    CONSTRAINT experiment_control_share_check CHECK (((control_share > (0)::numeric) AND (control_share < (1)::numeric))),
    CONSTRAINT experiment_slot CHECK (((slot IS NULL) OR ((layer IS NOT NULL) AND (NOT isempty(slot)) AND (slot <@ int4range(0, 10000))))),
    CONSTRAINT experiment_traffic CHECK (((traffic > (0)::numeric) AND (traffic <= (1)::numeric)))
);

ALTER TABLE liber.experiment ALTER COLUMN experiment_key ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME liber.experiment_experiment_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE liber.exposure (
    experiment_key integer NOT NULL,
    user_id text NOT NULL,
    arm text NOT NULL,
    exposed_at timestamp with time zone NOT NULL,
    crossed_at timestamp with time zone,
    CONSTRAINT exposure_arm_check CHECK ((arm = ANY (ARRAY['control'::text, 'treatment'::text])))
);

CREATE TABLE liber.ingest_file (
    file_id bigint NOT NULL,
    sha256 text NOT NULL,
    kind text NOT NULL,
    source text NOT NULL,
    rows_read bigint NOT NULL,
    accepted bigint NOT NULL,
    duplicates bigint NOT NULL,
    rejected bigint NOT NULL,
    ingested_at timestamp with time zone DEFAULT now() NOT NULL,
    refused bigint DEFAULT 0 NOT NULL,
    "position" text,
    CONSTRAINT ingest_file_kind_check CHECK ((kind = ANY (ARRAY['behaviors'::text, 'items'::text, 'users'::text])))
);

COMMENT ON COLUMN liber.ingest_file."position" IS 'Streams only: where to read on, in the broker''s own form.';

ALTER TABLE liber.ingest_file ALTER COLUMN file_id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME liber.ingest_file_file_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE liber.interest (
    user_key bigint NOT NULL,
    partition_no integer NOT NULL,
    kind liber.interest_kind NOT NULL,
    knowledge_version text NOT NULL,
    text text NOT NULL,
    input_sha256 text NOT NULL,
    prompt_tokens integer,
    completion_tokens integer,
    latency_seconds real NOT NULL,
    finish_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    left_out integer DEFAULT 0 NOT NULL
);

CREATE TABLE liber.interest_vector (
    user_key bigint NOT NULL,
    partition_no integer NOT NULL,
    encoder_version text NOT NULL,
    knowledge_version text NOT NULL,
    vector public.vector NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE liber.item (
    item_key bigint NOT NULL,
    item_id text NOT NULL,
    title text,
    attributes jsonb DEFAULT '{}'::jsonb NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE liber.item_encoder (
    encoder_version text NOT NULL,
    kind text NOT NULL,
    knowledge_version text,
    model text NOT NULL,
    dimension integer NOT NULL,
    lexical bytea,
    centre public.vector,
    fitted_items integer,
    fitted_before timestamp with time zone,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT item_encoder_kind_check CHECK ((kind = ANY (ARRAY['dense'::text, 'lexical'::text])))
);

ALTER TABLE liber.item ALTER COLUMN item_key ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME liber.item_item_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE liber.item_knowledge (
    item_key bigint NOT NULL,
    knowledge_version text NOT NULL,
    text text NOT NULL,
    attributes_sha256 text,
    input_sha256 text,
    prompt_tokens integer,
    completion_tokens integer,
    latency_seconds real,
    finish_reason text,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE liber.item_past (
    item_key bigint NOT NULL,
    valid_to timestamp with time zone NOT NULL,
    title text,
    attributes jsonb NOT NULL
);

CREATE TABLE liber.item_vector (
    item_key bigint NOT NULL,
    encoder_version text NOT NULL,
    vector public.vector NOT NULL,
    text_sha256 text NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

CREATE TABLE liber.knowledge_version (
    knowledge_version text NOT NULL,
    model text NOT NULL,
    summary_prompt text,
    shift_prompt text,
    parameters jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    recipe jsonb,
    registered jsonb DEFAULT '{}'::jsonb NOT NULL,
    item_prompt text
);

CREATE TABLE liber.llm_call (
    call_key text NOT NULL,
    user_key bigint,
    partition_no integer,
    kind liber.interest_kind,
    knowledge_version text NOT NULL,
    state liber.call_state NOT NULL,
    attempts integer DEFAULT 1 NOT NULL,
    error text,
    run_id text NOT NULL,
    started_at timestamp with time zone DEFAULT now() NOT NULL,
    finished_at timestamp with time zone,
    prompt_characters integer,
    prompt_tokens integer,
    completion_tokens integer,
    server text,
    item_key bigint,
    CONSTRAINT llm_call_about CHECK ((num_nonnulls(user_key, partition_no, kind) =
CASE
    WHEN (item_key IS NULL) THEN 3
    ELSE 0
END))
);

CREATE TABLE liber.metric_age (
    experiment_key integer NOT NULL,
    day date NOT NULL,
    age integer NOT NULL,
    arm text NOT NULL,
    play_count double precision NOT NULL,
    play_count_squares double precision NOT NULL,
    play_seconds double precision NOT NULL,
    play_seconds_squares double precision NOT NULL
);

CREATE TABLE liber.metric_progress (
    experiment_key integer NOT NULL,
    until_day date NOT NULL,
    exposed_outside bigint NOT NULL,
    exposed jsonb NOT NULL
);

CREATE TABLE liber.partition_cut (
    user_key bigint NOT NULL,
    decided_seq bigint NOT NULL,
    last_seq bigint NOT NULL,
    model text NOT NULL,
    score real,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT partition_cut_check CHECK (((last_seq >= 1) AND (last_seq <= decided_seq)))
);

CREATE TABLE liber.readout (
    readout_key bigint NOT NULL,
    experiment_key integer NOT NULL,
    watermark timestamp with time zone NOT NULL,
    input_sha256 text NOT NULL,
    result jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    until_day date NOT NULL
);

CREATE TABLE liber.readout_calibration (
    experiment_key integer NOT NULL,
    until_day date NOT NULL,
    input_sha256 text NOT NULL,
    result jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE liber.readout ALTER COLUMN readout_key ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME liber.readout_readout_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE liber.rejected_row (
    file_id bigint NOT NULL,
    line bigint NOT NULL,
    reason text NOT NULL,
    raw text
);

CREATE TABLE liber.simulated_play (
    experiment_key integer NOT NULL,
    user_id text NOT NULL,
    day date NOT NULL,
    play_count integer NOT NULL,
    play_seconds double precision NOT NULL
);

CREATE TABLE liber.user_custom_day (
    experiment_key integer NOT NULL,
    user_id text NOT NULL,
    day date NOT NULL,
    metric text NOT NULL,
    value double precision NOT NULL
);

CREATE TABLE liber.user_metric (
    experiment_key integer NOT NULL,
    user_id text NOT NULL,
    arm text NOT NULL,
    exposed_at timestamp with time zone NOT NULL,
    wrong_arm boolean NOT NULL,
    left_out text,
    play_count double precision NOT NULL,
    play_seconds double precision NOT NULL,
    active_days double precision NOT NULL,
    pre_play_count double precision NOT NULL,
    pre_play_seconds double precision NOT NULL,
    pre_active_days double precision NOT NULL,
    custom double precision[] NOT NULL,
    pre_custom double precision[] NOT NULL,
    segment text[] NOT NULL,
    digest bigint NOT NULL,
    digest_2 bigint NOT NULL,
    CONSTRAINT user_metric_left_out_check CHECK ((left_out = ANY (ARRAY['crossed'::text, 'bot'::text])))
);

CREATE TABLE liber.user_metric_day (
    experiment_key integer NOT NULL,
    user_id text NOT NULL,
    arm text NOT NULL,
    day date NOT NULL,
    pre_period boolean NOT NULL,
    play_count integer NOT NULL,
    play_seconds double precision NOT NULL
);

CREATE TABLE liber.user_past (
    user_key bigint NOT NULL,
    valid_to timestamp with time zone NOT NULL,
    attributes jsonb NOT NULL
);

CREATE TABLE liber.user_profile (
    user_key bigint NOT NULL,
    user_id text NOT NULL,
    attributes jsonb DEFAULT '{}'::jsonb NOT NULL,
    updated_at timestamp with time zone DEFAULT now() NOT NULL
);

ALTER TABLE liber.user_profile ALTER COLUMN user_key ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME liber.user_profile_user_key_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);

CREATE TABLE liber.user_stream (
    user_key bigint NOT NULL,
    last_seq bigint DEFAULT 0 NOT NULL,
    first_unsealed_seq bigint DEFAULT 1 NOT NULL,
    last_partition_no integer DEFAULT 0 NOT NULL,
    clock timestamp with time zone DEFAULT '-infinity'::timestamp with time zone NOT NULL,
    examined_rule bigint DEFAULT 0 NOT NULL,
    due_at timestamp with time zone DEFAULT 'infinity'::timestamp with time zone NOT NULL
)
WITH (fillfactor='70');

CREATE TABLE public.schema_migrations (
    version character varying NOT NULL
);

ALTER TABLE ONLY liber.announcement
    ADD CONSTRAINT announcement_pkey PRIMARY KEY (what, run);

ALTER TABLE ONLY liber.behavior_partition
    ADD CONSTRAINT behavior_partition_pkey PRIMARY KEY (user_key, partition_no);

ALTER TABLE ONLY liber.behavior
    ADD CONSTRAINT behavior_pkey PRIMARY KEY (user_key, seq);

ALTER TABLE ONLY liber.behavior
    ADD CONSTRAINT behavior_user_key_event_id_key UNIQUE (user_key, event_id);

ALTER TABLE ONLY liber.encoder
    ADD CONSTRAINT encoder_pkey PRIMARY KEY (encoder_version);

ALTER TABLE ONLY liber.erasure_key
    ADD CONSTRAINT erasure_key_pkey PRIMARY KEY (one_row);

ALTER TABLE ONLY liber.erasure
    ADD CONSTRAINT erasure_pkey PRIMARY KEY (user_digest, erased_at);

ALTER TABLE ONLY liber.experiment
    ADD CONSTRAINT experiment_name_key UNIQUE (name);

ALTER TABLE ONLY liber.experiment
    ADD CONSTRAINT experiment_pkey PRIMARY KEY (experiment_key);

ALTER TABLE ONLY liber.exposure
    ADD CONSTRAINT exposure_pkey PRIMARY KEY (experiment_key, user_id);

ALTER TABLE ONLY liber.ingest_file
    ADD CONSTRAINT ingest_file_pkey PRIMARY KEY (file_id);

ALTER TABLE ONLY liber.ingest_file
    ADD CONSTRAINT ingest_file_sha256_kind_key UNIQUE (sha256, kind);

ALTER TABLE ONLY liber.interest
    ADD CONSTRAINT interest_pkey PRIMARY KEY (user_key, partition_no, kind, knowledge_version);

ALTER TABLE ONLY liber.interest_vector
    ADD CONSTRAINT interest_vector_pkey PRIMARY KEY (user_key, partition_no, encoder_version, knowledge_version);

ALTER TABLE ONLY liber.item_encoder
    ADD CONSTRAINT item_encoder_pkey PRIMARY KEY (encoder_version);

ALTER TABLE ONLY liber.item
    ADD CONSTRAINT item_item_id_key UNIQUE (item_id);

ALTER TABLE ONLY liber.item_knowledge
    ADD CONSTRAINT item_knowledge_pkey PRIMARY KEY (item_key, knowledge_version);

ALTER TABLE ONLY liber.item_past
    ADD CONSTRAINT item_past_pkey PRIMARY KEY (item_key, valid_to);

ALTER TABLE ONLY liber.item
    ADD CONSTRAINT item_pkey PRIMARY KEY (item_key);

ALTER TABLE ONLY liber.item_vector
    ADD CONSTRAINT item_vector_pkey PRIMARY KEY (item_key, encoder_version);

ALTER TABLE ONLY liber.knowledge_version
    ADD CONSTRAINT knowledge_version_pkey PRIMARY KEY (knowledge_version);

ALTER TABLE ONLY liber.llm_call
    ADD CONSTRAINT llm_call_pkey PRIMARY KEY (call_key);

ALTER TABLE ONLY liber.metric_age
    ADD CONSTRAINT metric_age_pkey PRIMARY KEY (experiment_key, day, age, arm);

ALTER TABLE ONLY liber.metric_progress
    ADD CONSTRAINT metric_progress_pkey PRIMARY KEY (experiment_key);

ALTER TABLE ONLY liber.partition_cut
    ADD CONSTRAINT partition_cut_pkey PRIMARY KEY (user_key, decided_seq);

ALTER TABLE ONLY liber.readout_calibration
    ADD CONSTRAINT readout_calibration_pkey PRIMARY KEY (experiment_key, input_sha256);

ALTER TABLE ONLY liber.readout
    ADD CONSTRAINT readout_experiment_key_input_sha256_key UNIQUE (experiment_key, input_sha256);

ALTER TABLE ONLY liber.readout
    ADD CONSTRAINT readout_pkey PRIMARY KEY (readout_key);

ALTER TABLE ONLY liber.rejected_row
    ADD CONSTRAINT rejected_row_pkey PRIMARY KEY (file_id, line);

ALTER TABLE ONLY liber.simulated_play
    ADD CONSTRAINT simulated_play_pkey PRIMARY KEY (experiment_key, user_id, day);

ALTER TABLE ONLY liber.user_custom_day
    ADD CONSTRAINT user_custom_day_pkey PRIMARY KEY (experiment_key, user_id, day, metric);

ALTER TABLE ONLY liber.user_metric_day
    ADD CONSTRAINT user_metric_day_pkey PRIMARY KEY (experiment_key, user_id, day);

ALTER TABLE ONLY liber.user_metric
    ADD CONSTRAINT user_metric_pkey PRIMARY KEY (experiment_key, user_id);

ALTER TABLE ONLY liber.user_past
    ADD CONSTRAINT user_past_pkey PRIMARY KEY (user_key, valid_to);

ALTER TABLE ONLY liber.user_profile
    ADD CONSTRAINT user_profile_pkey PRIMARY KEY (user_key);

ALTER TABLE ONLY liber.user_profile
    ADD CONSTRAINT user_profile_user_id_key UNIQUE (user_id);

ALTER TABLE ONLY liber.user_stream
    ADD CONSTRAINT user_stream_pkey PRIMARY KEY (user_key);

ALTER TABLE ONLY public.schema_migrations
    ADD CONSTRAINT schema_migrations_pkey PRIMARY KEY (version);

CREATE INDEX behavior_partition_created_at ON liber.behavior_partition USING brin (created_at);

CREATE UNIQUE INDEX erasure_in_force ON liber.erasure USING btree (user_digest) WHERE (readmitted_at IS NULL);

CREATE INDEX interest_vector_created_at ON liber.interest_vector USING brin (created_at);

CREATE INDEX item_knowledge_version ON liber.item_knowledge USING btree (knowledge_version);

CREATE INDEX item_vector_created_at ON liber.item_vector USING btree (created_at);

CREATE INDEX llm_call_finished_at ON liber.llm_call USING btree (finished_at) WHERE (state = 'done'::liber.call_state);

CREATE INDEX llm_call_item ON liber.llm_call USING btree (item_key, knowledge_version) WHERE (item_key IS NOT NULL);

CREATE INDEX llm_call_partition ON liber.llm_call USING btree (user_key, partition_no, kind);

CREATE INDEX llm_call_run_id ON liber.llm_call USING btree (run_id text_pattern_ops);

CREATE INDEX user_metric_day_by_day ON liber.user_metric_day USING brin (experiment_key, day) WITH (pages_per_range='32');

CREATE INDEX user_stream_cache_size ON liber.user_stream USING btree ((((last_seq - first_unsealed_seq) + 1)));

CREATE INDEX user_stream_due ON liber.user_stream USING btree (examined_rule, due_at);

CREATE TRIGGER keep_item_past AFTER UPDATE ON liber.item REFERENCING OLD TABLE AS replaced NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION liber.keep_item_past();

CREATE TRIGGER keep_user_past AFTER UPDATE ON liber.user_profile REFERENCING OLD TABLE AS replaced NEW TABLE AS written FOR EACH STATEMENT EXECUTE FUNCTION liber.keep_user_past();

CREATE TRIGGER refuse_erased_users AFTER INSERT ON liber.exposure REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION liber.refuse_erased_users();

ALTER TABLE ONLY liber.exposure
    ADD CONSTRAINT exposure_experiment_key_fkey FOREIGN KEY (experiment_key) REFERENCES liber.experiment(experiment_key) ON DELETE CASCADE;

ALTER TABLE ONLY liber.interest
    ADD CONSTRAINT interest_knowledge_version_fkey FOREIGN KEY (knowledge_version) REFERENCES liber.knowledge_version(knowledge_version);

ALTER TABLE ONLY liber.interest_vector
    ADD CONSTRAINT interest_vector_encoder_version_fkey FOREIGN KEY (encoder_version) REFERENCES liber.encoder(encoder_version);

ALTER TABLE ONLY liber.interest_vector
    ADD CONSTRAINT interest_vector_knowledge_version_fkey FOREIGN KEY (knowledge_version) REFERENCES liber.knowledge_version(knowledge_version);

ALTER TABLE ONLY liber.item_encoder
    ADD CONSTRAINT item_encoder_knowledge_version_fkey FOREIGN KEY (knowledge_version) REFERENCES liber.knowledge_version(knowledge_version);

ALTER TABLE ONLY liber.item_knowledge
    ADD CONSTRAINT item_knowledge_item_key_fkey FOREIGN KEY (item_key) REFERENCES liber.item(item_key);

ALTER TABLE ONLY liber.item_knowledge
    ADD CONSTRAINT item_knowledge_knowledge_version_fkey FOREIGN KEY (knowledge_version) REFERENCES liber.knowledge_version(knowledge_version);

ALTER TABLE ONLY liber.item_vector
    ADD CONSTRAINT item_vector_item_key_fkey FOREIGN KEY (item_key) REFERENCES liber.item(item_key);

ALTER TABLE ONLY liber.llm_call
    ADD CONSTRAINT llm_call_item_key_fkey FOREIGN KEY (item_key) REFERENCES liber.item(item_key);

ALTER TABLE ONLY liber.llm_call
    ADD CONSTRAINT llm_call_knowledge_version_fkey FOREIGN KEY (knowledge_version) REFERENCES liber.knowledge_version(knowledge_version);

ALTER TABLE ONLY liber.metric_age
    ADD CONSTRAINT metric_age_experiment_key_fkey FOREIGN KEY (experiment_key) REFERENCES liber.experiment(experiment_key) ON DELETE CASCADE;

ALTER TABLE ONLY liber.metric_progress
    ADD CONSTRAINT metric_progress_experiment_key_fkey FOREIGN KEY (experiment_key) REFERENCES liber.experiment(experiment_key) ON DELETE CASCADE;

ALTER TABLE ONLY liber.readout_calibration
    ADD CONSTRAINT readout_calibration_experiment_key_fkey FOREIGN KEY (experiment_key) REFERENCES liber.experiment(experiment_key) ON DELETE CASCADE;

ALTER TABLE ONLY liber.readout
    ADD CONSTRAINT readout_experiment_key_fkey FOREIGN KEY (experiment_key) REFERENCES liber.experiment(experiment_key) ON DELETE CASCADE;

ALTER TABLE ONLY liber.rejected_row
    ADD CONSTRAINT rejected_row_file_id_fkey FOREIGN KEY (file_id) REFERENCES liber.ingest_file(file_id);

ALTER TABLE ONLY liber.user_custom_day
    ADD CONSTRAINT user_custom_day_experiment_key_fkey FOREIGN KEY (experiment_key) REFERENCES liber.experiment(experiment_key) ON DELETE CASCADE;

ALTER TABLE ONLY liber.user_metric
    ADD CONSTRAINT user_metric_experiment_key_fkey FOREIGN KEY (experiment_key) REFERENCES liber.experiment(experiment_key) ON DELETE CASCADE;

ALTER TABLE ONLY liber.user_past
    ADD CONSTRAINT user_past_user_key_fkey FOREIGN KEY (user_key) REFERENCES liber.user_profile(user_key) ON DELETE CASCADE;

INSERT INTO public.schema_migrations (version) VALUES
    ('20261123000001'),
    ('20261123000002'),
    ('20261123000003'),
    ('20261123000004'),
    ('20261123000005'),
    ('20261123000006'),
    ('20261123000007'),
    ('20261123000008'),
    ('20261124000001'),
    ('20261129000001'),
    ('20261129000002'),
    ('20261129000003'),
    ('20261130000006');
