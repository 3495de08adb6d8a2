-- Readout: users per arm, and those whose logged arm is not the one their bucket gives.
WITH assigned AS MATERIALIZED ( -- one hash a user
    SELECT
        arm,
        liber.bucket(:salt, user_id) AS bucket
    FROM per_user
)

SELECT
    arm,
    count(*) AS users,
    count(*) FILTER (
        WHERE arm IS DISTINCT FROM CASE
            WHEN bucket < :control_end THEN 'control'
            WHEN bucket < :treatment_end THEN 'treatment'
        END
    ) AS wrong_arm
FROM assigned
GROUP BY arm
ORDER BY arm;
