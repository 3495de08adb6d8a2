-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- What a version's prompts were made of, whole: templates, domain pack, style, bounds. With it a prompt can be rendered
-- again after the files have changed. NULL: the version is older than this column, or came from elsewhere.
ALTER TABLE liber.knowledge_version ADD COLUMN recipe jsonb;

-- Where the templates are in MLflow's prompt registry, by kind, such as {"summary": "prompts:/liber-summary/3"}.
ALTER TABLE liber.knowledge_version ADD COLUMN registered jsonb NOT NULL DEFAULT '{}';

-- Oldest behaviours that were left out because the server's context is too short for the whole prompt.
ALTER TABLE liber.interest ADD COLUMN left_out integer NOT NULL DEFAULT 0;

-- Cost of a call over all its tries, and who answered it. Calls made before have no figures.
ALTER TABLE liber.llm_call ADD COLUMN prompt_characters integer;
ALTER TABLE liber.llm_call ADD COLUMN prompt_tokens integer;
ALTER TABLE liber.llm_call ADD COLUMN completion_tokens integer;
ALTER TABLE liber.llm_call ADD COLUMN server text;           -- dialect and model, as the server names them

-- Cost account of a run, and the rate that a dry run reckons with: the newest calls first.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX llm_call_finished_at ON liber.llm_call (finished_at) WHERE state = 'done';

-- What a run has spent; its shards are named RUN#0/4.
-- squawk-ignore require-concurrent-index-creation
CREATE INDEX llm_call_run_id ON liber.llm_call (run_id text_pattern_ops);

-- migrate:down
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX liber.llm_call_run_id;
-- squawk-ignore require-concurrent-index-deletion
DROP INDEX liber.llm_call_finished_at;
ALTER TABLE liber.llm_call DROP COLUMN server;
ALTER TABLE liber.llm_call DROP COLUMN completion_tokens;
ALTER TABLE liber.llm_call DROP COLUMN prompt_tokens;
ALTER TABLE liber.llm_call DROP COLUMN prompt_characters;
ALTER TABLE liber.interest DROP COLUMN left_out;
ALTER TABLE liber.knowledge_version DROP COLUMN registered;
ALTER TABLE liber.knowledge_version DROP COLUMN recipe;
