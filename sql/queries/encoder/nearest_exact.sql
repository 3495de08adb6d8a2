-- Nearest: no index for this transaction, so that every vector is looked at.
SELECT set_config('enable_indexscan', 'off', TRUE) AS indexscan
