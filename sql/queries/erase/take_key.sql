-- Erase again: the secret of the database that this one was restored from, where this one has none yet.
INSERT INTO liber.erasure_key (key)
VALUES (decode(:key, 'hex'))
ON CONFLICT (one_row) DO NOTHING
