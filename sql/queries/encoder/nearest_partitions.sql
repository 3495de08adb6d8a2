-- Nearest: the partitions of other users that lie closest by cosine. The cast and the two conditions are those of the
-- index that nearest_index_create.sql makes; without it every vector of the versions is looked at.
SELECT
    user_key,
    partition_no,
    1 - (cast(vector AS :vector_type) <=> cast(:nearest_to AS :vector_type)) AS similarity
FROM liber.interest_vector
WHERE
    encoder_version = :encoder_version AND knowledge_version = :knowledge_version
    AND user_key <> :user_key
ORDER BY cast(vector AS :vector_type) <=> cast(:nearest_to AS :vector_type)
LIMIT :fetched
