-- Request cuts: place in the stream of the events that the requests name; nulls stand for what is unknown.
SELECT
    u.user_key,
    closing.seq AS last_seq,
    deciding.seq AS decided_seq
FROM
    unnest(cast(:users AS text[]), cast(:events AS text[]), cast(:decided AS text[]))
    WITH ORDINALITY AS a (user_id, event_id, decided_event_id, nth)
LEFT JOIN liber.user_profile AS u ON a.user_id = u.user_id
LEFT JOIN liber.behavior AS closing ON u.user_key = closing.user_key AND a.event_id = closing.event_id
LEFT JOIN liber.behavior AS deciding ON u.user_key = deciding.user_key AND a.decided_event_id = deciding.event_id
ORDER BY a.nth
