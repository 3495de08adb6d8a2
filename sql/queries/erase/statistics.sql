-- Erase: planner statistics of the tables that lost rows, where they still hold the id.
SELECT liber.erase_statistics(cast(:tables AS text[]), :id_pattern)
