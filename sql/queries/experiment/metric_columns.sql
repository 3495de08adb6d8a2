-- Custom metric: which columns its SELECT gives, without rows. The word metric_sql is replaced by that SELECT.
SELECT m.* FROM metric_sql AS m WHERE cast(:wanted AS boolean)
