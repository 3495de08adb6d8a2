-- migrate:up
SET LOCAL lock_timeout = '5s';
SET LOCAL statement_timeout = '10min';

-- What an item's text says, as BERT's vector (no PCA). One row an item and encoder; a changed text replaces it.
CREATE TABLE liber.item_vector (
    item_key bigint NOT NULL REFERENCES liber.item,
    encoder_version text NOT NULL,     -- digest that names model, number format and pooling
    vector vector NOT NULL,
    text_sha256 text NOT NULL,         -- of the text that was encoded: another digest means encode again
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (item_key, encoder_version)
);

-- Drift: the encoder that was used last, without reading the vectors.
CREATE INDEX item_vector_created_at ON liber.item_vector (created_at);

-- migrate:down
DROP TABLE liber.item_vector;
