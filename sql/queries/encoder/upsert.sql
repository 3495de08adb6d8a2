-- Keep what is there: a vector never changes within its versions.
INSERT INTO liber.interest_vector (user_key, partition_no, encoder_version, knowledge_version, vector)
SELECT user_key, partition_no, :encoder_version, :knowledge_version, vector
FROM interest_vector_stage
ON CONFLICT (user_key, partition_no, encoder_version, knowledge_version) DO NOTHING
