-- Metrics: how far the behaviour stream has come, without reading the stream; null where it is empty.
SELECT max(clock) AS newest FROM liber.user_stream WHERE last_seq > 0;
