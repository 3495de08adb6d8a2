-- Learn: calls that an earlier try of this run had claimed when its process died. The run may not come to them again.
UPDATE liber.llm_call
SET state = 'failed', error = 'interrupted: the process that had claimed it ended', finished_at = now()
WHERE run_id = :run_id AND state = 'running'
