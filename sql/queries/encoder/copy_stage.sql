-- Fill the stage.
COPY interest_vector_stage (user_key, partition_no, vector) FROM STDIN WITH BINARY
