-- Hash partitions: nobody writes or reads the tables until the commit. A statement of its own, so that the next one
-- sees what others wrote before.
LOCK TABLE liber.behavior, liber.behavior_partition IN ACCESS EXCLUSIVE MODE
