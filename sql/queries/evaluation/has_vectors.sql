-- Whether a knowledge version has vectors: the evaluation says of a variant that was never learnt that it was not.
SELECT
    exists(
        SELECT 1
        FROM liber.interest_vector
        WHERE knowledge_version = :knowledge_version
    ) AS found
