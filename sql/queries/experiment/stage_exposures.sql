-- Exposures: where the rows of one call wait.
CREATE TEMPORARY TABLE exposure_stage (
    user_id text NOT NULL,
    exposed_at timestamptz NOT NULL,
    served text
) ON COMMIT DROP;
