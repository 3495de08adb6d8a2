-- Import: as for texts of partitions.
LOCK TABLE liber.item_knowledge IN SHARE ROW EXCLUSIVE MODE
