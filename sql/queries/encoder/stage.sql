-- Stage of one batch of vectors.
CREATE TEMPORARY TABLE interest_vector_stage (
    user_key bigint,
    partition_no integer,
    vector vector
) ON COMMIT DROP
