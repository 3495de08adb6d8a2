-- Users with the attributes that are features.
SELECT
    user_key,
    user_id,
    attributes -> 'age' AS age,
    attributes -> 'gender' AS gender,
    attributes -> 'occupation' AS occupation
FROM liber.user_profile
ORDER BY user_key
