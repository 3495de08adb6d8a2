-- Exposures: the earliest of each user stays, whatever the order in which they come. In the order of users, so that two
-- calls at once do not wait for each other in a ring.
WITH stored AS (
    INSERT INTO liber.exposure AS x (experiment_key, user_id, arm, exposed_at, crossed_at)
    SELECT
        cast(:experiment_key AS integer),
        user_id,
        arm,
        exposed_at,
        crossed_at
    FROM exposure_judged
    WHERE arm IS NOT NULL AND timely > 0
    ORDER BY user_id
    ON CONFLICT (experiment_key, user_id) DO UPDATE
        SET
            exposed_at = least(x.exposed_at, excluded.exposed_at),
            crossed_at = least(x.crossed_at, excluded.crossed_at)
        WHERE excluded.exposed_at < x.exposed_at OR excluded.crossed_at < coalesce(x.crossed_at, 'infinity')
    RETURNING xmax = 0 AS added -- no transaction has locked a row that is new
)

SELECT
    count(*) FILTER (WHERE added) AS added,
    count(*) FILTER (WHERE NOT added) AS changed
FROM stored;
