-- Readout DAG: experiments that a day may add to: begun before it, not archived, and not over for longer than late
-- plays are taken.
SELECT name
FROM liber.experiment
WHERE
    starts_at < cast(:watermark AS timestamptz) AND archived_at IS NULL
    AND ends_at > cast(:watermark AS timestamptz) - cast(:late_days AS integer) * interval '1 day'
ORDER BY name;
