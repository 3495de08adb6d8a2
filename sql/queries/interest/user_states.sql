-- Reproduce: every state of a user's profile, oldest first; the current one has no end.
SELECT valid_to, attributes
FROM (
    SELECT valid_to, attributes
    FROM liber.user_past
    WHERE user_key = :user_key
    UNION ALL
    SELECT NULL AS valid_to, attributes
    FROM liber.user_profile
    WHERE user_key = :user_key
) AS states
ORDER BY valid_to ASC NULLS LAST
