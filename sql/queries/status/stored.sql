-- Status: what was counted last.
SELECT result FROM liber.pipeline_state
