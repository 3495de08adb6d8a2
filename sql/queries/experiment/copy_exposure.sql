-- Simulate: load exposures by binary COPY.
COPY liber.exposure (experiment_key, user_id, arm, exposed_at) FROM STDIN (FORMAT "binary");
