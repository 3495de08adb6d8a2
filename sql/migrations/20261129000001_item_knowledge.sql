-- All of the columns that may be NULL from now on are read together with what is new, by the same release.
-- squawk-ignore-file ban-drop-not-null
-- The way back is for a schema that nobody uses yet.
-- squawk-ignore-file ban-drop-constraint, adding-not-nullable-field

-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- A version's texts are about partitions or about items: it has the prompts of what it is about. A text that was made
-- elsewhere has 'elsewhere/' and its file's digest there.
ALTER TABLE liber.knowledge_version ADD COLUMN item_prompt text;
ALTER TABLE liber.knowledge_version ALTER COLUMN summary_prompt DROP NOT NULL;
ALTER TABLE liber.knowledge_version ALTER COLUMN shift_prompt DROP NOT NULL;

-- What an LLM says about an item. One row an item and version; when the item's attributes change, a new text replaces
-- the old one.
CREATE TABLE liber.item_knowledge (
    item_key bigint NOT NULL REFERENCES liber.item,
    knowledge_version text NOT NULL REFERENCES liber.knowledge_version,
    text text NOT NULL,
    attributes_sha256 text,            -- of the title and attributes it was asked for; NULL: it was made elsewhere
    input_sha256 text,                 -- of the rendered prompt; NULL likewise, and so on
    prompt_tokens integer,
    completion_tokens integer,
    latency_seconds real,
    finish_reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_key, knowledge_version)
);

-- Coverage: the version with the most texts.
CREATE INDEX item_knowledge_version ON liber.item_knowledge (knowledge_version);

-- One ledger: a call is about a partition, or about an item.
ALTER TABLE liber.llm_call ALTER COLUMN user_key DROP NOT NULL;
ALTER TABLE liber.llm_call ALTER COLUMN partition_no DROP NOT NULL;
ALTER TABLE liber.llm_call ALTER COLUMN kind DROP NOT NULL;
-- squawk-ignore adding-foreign-key-constraint
ALTER TABLE liber.llm_call ADD COLUMN item_key bigint REFERENCES liber.item;
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE liber.llm_call ADD CONSTRAINT llm_call_about CHECK (
    num_nonnulls(user_key, partition_no, kind) = CASE WHEN item_key IS NULL THEN 3 ELSE 0 END
);

-- Learn: skip the quarantined.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX llm_call_item ON liber.llm_call (item_key, knowledge_version) WHERE item_key IS NOT NULL;

-- What items' vectors are made with. The name is a digest of everything that shapes a vector.
CREATE TABLE liber.item_encoder (
    encoder_version text PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('dense', 'lexical')),
    knowledge_version text REFERENCES liber.knowledge_version, -- of the texts; NULL: the items' attributes alone
    model text NOT NULL,               -- BERT, or what the lexical vectors are
    dimension integer NOT NULL,
    lexical bytea,                     -- npz: terms, idf (t,), components (d, t); NULL: dense
    centre vector,                     -- mean vector of the items it was fitted on; NULL: not all are encoded yet
    fitted_items integer,              -- how many
    fitted_before timestamptz,         -- with a behaviour strictly before this event time; NULL: all there were
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Vectors of items encoded before this table was there.
INSERT INTO liber.item_encoder (encoder_version, kind, model, dimension)
SELECT
    encoder_version,
    'dense',
    split_part(encoder_version, '-', 1),
    max(vector_dims(vector))
FROM liber.item_vector
GROUP BY encoder_version;

-- migrate:down
DROP TABLE liber.item_encoder;
DELETE FROM liber.llm_call WHERE item_key IS NOT NULL;
ALTER TABLE liber.llm_call DROP CONSTRAINT llm_call_about;
ALTER TABLE liber.llm_call DROP COLUMN item_key;
ALTER TABLE liber.llm_call ALTER COLUMN user_key SET NOT NULL;
ALTER TABLE liber.llm_call ALTER COLUMN partition_no SET NOT NULL;
ALTER TABLE liber.llm_call ALTER COLUMN kind SET NOT NULL;
DROP TABLE liber.item_knowledge;
DELETE FROM liber.knowledge_version WHERE summary_prompt IS NULL OR shift_prompt IS NULL;
ALTER TABLE liber.knowledge_version ALTER COLUMN summary_prompt SET NOT NULL;
ALTER TABLE liber.knowledge_version ALTER COLUMN shift_prompt SET NOT NULL;
ALTER TABLE liber.knowledge_version DROP COLUMN item_prompt;
