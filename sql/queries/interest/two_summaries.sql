-- Reproduce: the summaries a shift was asked about, the earlier one first.
SELECT text
FROM liber.interest
WHERE
    user_key = :user_key
    AND partition_no IN (:partition_no - 1, :partition_no)
    AND kind = 'summary'
    AND knowledge_version = :knowledge_version
ORDER BY partition_no
