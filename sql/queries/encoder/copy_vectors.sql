-- All vectors of one encoder and knowledge version.
COPY (
    SELECT user_key, partition_no, vector
    FROM liber.interest_vector
    WHERE encoder_version = :encoder_version AND knowledge_version = :knowledge_version
    ORDER BY user_key, partition_no
) TO STDOUT WITH BINARY
