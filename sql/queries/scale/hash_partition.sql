-- Hash partitions: the tables that grow with every behaviour. user_stream has one row a user; interest_vector has one
-- row a partition and is searched across users, for which many small indexes are slower than one.
SELECT liber.hash_partition(t.name, :partitions)
FROM unnest(ARRAY['behavior', 'behavior_partition']) AS t (name)
