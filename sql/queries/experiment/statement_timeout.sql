-- Custom metric: bound each statement of this transaction, in milliseconds.
SELECT set_config('statement_timeout', cast(:milliseconds AS text), TRUE)
