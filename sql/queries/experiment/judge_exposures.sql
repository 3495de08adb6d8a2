-- Exposures: one row a user of the stage, with the arm that is the user's (null: outside the experiment), the first
-- exposure inside the experiment's time, and the first time the other arm was served. Hashed once a user, not a row.
CREATE TEMPORARY TABLE exposure_judged ON COMMIT DROP AS
WITH user_rows AS MATERIALIZED (
    SELECT
        s.user_id,
        count(*) FILTER (WHERE s.exposed_at < e.starts_at) AS early,
        count(*) FILTER (WHERE s.exposed_at >= e.ends_at) AS late,
        count(*) FILTER (WHERE s.exposed_at >= e.starts_at AND s.exposed_at < e.ends_at) AS timely,
        min(s.exposed_at) FILTER (WHERE s.exposed_at >= e.starts_at AND s.exposed_at < e.ends_at) AS exposed_at,
        min(s.exposed_at) FILTER (
            WHERE s.served = 'control' AND s.exposed_at >= e.starts_at AND s.exposed_at < e.ends_at
        ) AS control_at,
        min(s.exposed_at) FILTER (
            WHERE s.served = 'treatment' AND s.exposed_at >= e.starts_at AND s.exposed_at < e.ends_at
        ) AS treatment_at
    FROM exposure_stage AS s
    CROSS JOIN liber.experiment AS e
    WHERE e.experiment_key = :experiment_key
    GROUP BY s.user_id
),

assigned AS MATERIALIZED (
    SELECT
        r.*,
        liber.arm(e, r.user_id) AS arm
    FROM user_rows AS r
    CROSS JOIN liber.experiment AS e
    WHERE e.experiment_key = :experiment_key
)

SELECT
    user_id,
    arm,
    early,
    late,
    timely,
    exposed_at,
    CASE arm WHEN 'control' THEN treatment_at ELSE control_at END AS crossed_at
FROM assigned;
