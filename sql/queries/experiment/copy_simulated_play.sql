-- Simulate: load plays by binary COPY.
COPY liber.simulated_play (experiment_key, user_id, day, play_count, play_seconds) FROM STDIN (FORMAT "binary");
