-- Metrics: a user's totals of the experiment's own metrics over days, in the order of their names.
CREATE OR REPLACE FUNCTION liber.custom_totals(
    experiment integer, of_user text, metrics text[], first_day date, until_day date
) RETURNS double precision[]
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(array_agg(coalesce(t.total, 0) ORDER BY x.place), '{}')
    FROM unnest(metrics) WITH ORDINALITY AS x (metric, place)
    LEFT JOIN LATERAL (
        SELECT sum(c.value::numeric)::float8 AS total -- whatever the order of the scan
        FROM liber.user_custom_day AS c
        WHERE
            c.experiment_key = experiment AND c.user_id = of_user AND c.metric = x.metric
            AND c.day >= first_day AND c.day < until_day
    ) AS t ON TRUE
$$;

-- Metrics: a user's values of the experiment's segments, in their order. All are known before the treatment.
CREATE OR REPLACE FUNCTION liber.segment_values(
    segments text[], attributes jsonb, pre_active_days bigint, pre_days integer
) RETURNS text[]
LANGUAGE sql STABLE PARALLEL SAFE
AS $$
    SELECT coalesce(
        array_agg(
            CASE x.segment
                WHEN 'activity' THEN CASE
                    WHEN pre_active_days = 0 THEN 'no day'
                    WHEN 2 * pre_active_days < pre_days THEN 'some days'
                    ELSE 'most days'
                END
                WHEN 'age' THEN CASE
                    WHEN jsonb_typeof(attributes -> 'age') IS DISTINCT FROM 'number' THEN 'unknown'
                    WHEN (attributes ->> 'age')::numeric < 18 THEN 'under 18'
                    WHEN (attributes ->> 'age')::numeric < 25 THEN '18 to 24'
                    WHEN (attributes ->> 'age')::numeric < 35 THEN '25 to 34'
                    WHEN (attributes ->> 'age')::numeric < 50 THEN '35 to 49'
                    ELSE '50 and over'
                END
                ELSE coalesce(nullif(attributes ->> x.segment, ''), 'unknown')
            END
            ORDER BY x.place
        ),
        '{}'
    )
    FROM unnest(segments) WITH ORDINALITY AS x (segment, place)
$$;
