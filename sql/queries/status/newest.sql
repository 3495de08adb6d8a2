-- Status: when the newest row of each kind was written; null: none, or none for :days days. A block-range index
-- finds the rows since a moment, not the newest, so the last day is asked first, then the last week.
SELECT
    (SELECT max(ingested_at) FROM liber.ingest_file WHERE kind = 'behaviors') AS behaviour,
    coalesce(
        (SELECT max(created_at) FROM liber.behavior_partition WHERE created_at >= now() - interval '1 day'),
        (SELECT max(created_at) FROM liber.behavior_partition WHERE created_at >= now() - interval '7 days'),
        (SELECT max(created_at) FROM liber.behavior_partition WHERE created_at >= now() - make_interval(days => :days))
    ) AS partition,
    (SELECT max(finished_at) FROM liber.llm_call WHERE state = 'done') AS text,
    coalesce(
        (SELECT max(created_at) FROM liber.interest_vector WHERE created_at >= now() - interval '1 day'),
        (SELECT max(created_at) FROM liber.interest_vector WHERE created_at >= now() - interval '7 days'),
        (SELECT max(created_at) FROM liber.interest_vector WHERE created_at >= now() - make_interval(days => :days))
    ) AS vector,
    (SELECT max(created_at) FROM liber.readout) AS readout;
