-- Behaviours of all users in the order histories are read: by user, event time, arrival. Fixed-width binary rows.
-- `WITH BINARY` is the older spelling of `(FORMAT binary)`, which the linter cannot parse after a query.
COPY (
    SELECT
        user_key,
        seq,
        item_key,
        event_time,
        coalesce(rating, 'NaN'::real) AS rating,
        (kind = 'rating' AND rating IS NOT NULL) AS is_sample
    FROM liber.behavior
    ORDER BY user_key, event_time, seq
) TO STDOUT WITH BINARY
