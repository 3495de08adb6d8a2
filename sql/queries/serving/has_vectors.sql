-- Serving: is there any vector of the versions that the model was trained on? Others are never read in their place.
SELECT exists(
    SELECT FROM liber.interest_vector
    WHERE encoder_version = :encoder_version AND knowledge_version = :knowledge_version
) AS found
