-- Behaviours of all users in the order histories are read: by user, event time, arrival. Fixed-width binary rows.
-- `WITH BINARY` is the older spelling of `(FORMAT binary)`, which the linter cannot parse after a query.
COPY (
    SELECT
        s.user_key,
        s.seq,
        s.item_key,
        s.event_time,
        coalesce(s.rating, 'NaN'::real) AS rating,
        (s.said AND s.rating IS NOT NULL) AS is_sample
    FROM (
        SELECT
            b.user_key,
            b.seq,
            b.item_key,
            b.event_time,
            liber.implied_rating(
                cast(:feedback AS jsonb), b.kind, b.rating, b.play_seconds, i.attributes
            ) AS rating,
            (b.kind = 'rating' OR cast(:feedback AS jsonb) IS NOT NULL) AS said
        FROM liber.behavior AS b
        LEFT JOIN liber.item AS i ON b.item_key = i.item_key
    ) AS s
    ORDER BY s.user_key, s.event_time, s.seq
) TO STDOUT WITH BINARY
