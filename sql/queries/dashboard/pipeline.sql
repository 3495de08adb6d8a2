-- Dashboard: done, pending and quarantined work of each stage.
SELECT stage, unit, done, pending, failed FROM liber.pipeline_status;
