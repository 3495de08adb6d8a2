-- Nearest: remove what an interrupted making left.
DROP INDEX CONCURRENTLY IF EXISTS liber.:index_name
