-- Encode items: fill the stage.
COPY item_vector_stage (item_key, text_sha256, vector) FROM STDIN WITH BINARY
