-- Nearest: one at a time makes an index. Not waiting: whoever waits holds a snapshot, and making one waits for those.
SELECT pg_try_advisory_lock(hashtextextended('liber ' || :index_name, 0)) AS locked
