-- Nearest: how many vectors a search in an HNSW index keeps in sight, this transaction only; it finds no more.
SELECT set_config('hnsw.ef_search', cast(:breadth AS text), TRUE) AS breadth
