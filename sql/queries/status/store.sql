-- Status: keep what was counted, unless something newer is there.
INSERT INTO liber.pipeline_state AS s (counted_at, seconds, result)
VALUES (:counted_at, :seconds, cast(:result AS jsonb))
ON CONFLICT (one_row) DO UPDATE
    SET counted_at = excluded.counted_at, seconds = excluded.seconds, result = excluded.result
    WHERE s.counted_at < excluded.counted_at
