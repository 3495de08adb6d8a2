-- Hash partitions: how many the table of behaviours has (0: it is plain), and whether anything lies in the tables.
SELECT
    (SELECT count(*) FROM pg_inherits WHERE inhparent = 'liber.behavior'::regclass) AS partitions,
    (EXISTS (SELECT FROM liber.behavior) OR EXISTS (SELECT FROM liber.behavior_partition)) AS filled
