-- Learn: how a call ended.
UPDATE liber.llm_call
SET state = cast(:state AS liber.call_state), error = cast(:error AS text), finished_at = now()
WHERE call_key = :call_key
