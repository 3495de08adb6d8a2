-- Nearest: whether the index of two versions is there, and whether its making came to its end.
SELECT i.indisvalid AS valid
FROM pg_class AS c
INNER JOIN pg_index AS i ON c.oid = i.indexrelid
WHERE c.relnamespace = 'liber'::regnamespace AND c.relname = :index_name
