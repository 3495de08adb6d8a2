-- Exposures: binary COPY into their stage.
COPY exposure_stage (user_id, exposed_at, served) FROM STDIN (FORMAT "binary");
