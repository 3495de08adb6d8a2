-- Ingest: append the stage to the streams: events known already are left out, the others get dense seq in the
-- order (event_time, event_id) and an effective time that never runs backwards. Returns how many were new.
WITH keyed AS (
    SELECT
        u.user_key,
        i.item_key,
        s.event_id,
        s.event_time,
        s.kind,
        s.rating,
        s.play_seconds,
        s.context,
        row_number() OVER (PARTITION BY u.user_key, s.event_id ORDER BY s.line) AS occurrence
    FROM behaviors_stage AS s
    INNER JOIN liber.user_profile AS u ON s.user_id = u.user_id
    INNER JOIN liber.item AS i ON s.item_id = i.item_id
),

fresh AS (
    SELECT k.*
    FROM keyed AS k
    WHERE
        k.occurrence = 1
        AND NOT EXISTS (
            SELECT FROM liber.behavior AS b WHERE b.user_key = k.user_key AND b.event_id = k.event_id
        )
),

appended AS (
    INSERT INTO liber.behavior (
        user_key, seq, item_key, event_time, effective_time, rating, play_seconds, kind, event_id, context
    )
    SELECT
        f.user_key,
        t.last_seq + row_number() OVER (
            PARTITION BY f.user_key ORDER BY f.event_time, f.event_id COLLATE "C"
        ) AS seq,
        f.item_key,
        f.event_time,
        -- sorted by event time, so the running maximum is the row's own time or the stream's clock
        greatest(t.clock, f.event_time) AS effective_time,
        f.rating,
        f.play_seconds,
        f.kind::liber.behavior_kind,
        f.event_id,
        f.context
    FROM fresh AS f
    INNER JOIN liber.user_stream AS t ON f.user_key = t.user_key
    ORDER BY f.user_key, seq
    RETURNING user_key, seq, effective_time
),

ends AS (
    SELECT
        user_key,
        count(*) AS n,
        max(seq) AS last_seq,
        max(effective_time) AS clock
    FROM appended
    GROUP BY user_key
),

advanced AS (
    UPDATE liber.user_stream AS t
    SET last_seq = e.last_seq, clock = e.clock, examined_rule = 0
    FROM ends AS e
    WHERE t.user_key = e.user_key
    RETURNING e.n
)

SELECT coalesce(sum(n), 0)::bigint AS accepted FROM advanced
