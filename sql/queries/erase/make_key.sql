-- Erase: the database's secret, made once: 244 random bits of the server's strong generator.
INSERT INTO liber.erasure_key (key)
VALUES (sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
ON CONFLICT (one_row) DO NOTHING
