-- Why an LLM call failed, in a few words that hold nothing of prompt or answer: what can be counted, kept and shown.
-- The messages are those of liber_tasks/interest/llm.py and server/answers.py; an unknown one is 'other'.
CREATE OR REPLACE FUNCTION liber.error_class(error text) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE
AS $$
    SELECT CASE
        WHEN error ~ '^HTTP [0-9]{3}\M' THEN left(error, 8)
        WHEN error LIKE 'interrupted%' OR error LIKE 'not asked%' THEN 'interrupted'
        WHEN error LIKE 'no answer within%' THEN 'timeout'
        WHEN error LIKE 'the connection broke%' THEN 'connection broke'
        WHEN error LIKE 'the answer cannot be read%' THEN 'unreadable answer'
        WHEN error LIKE 'the prompt is % tokens too long%' THEN 'prompt too long'
        WHEN error LIKE 'the answer is empty%' THEN 'empty answer'
        WHEN error LIKE 'the model refuses%' THEN 'refusal'
        WHEN error LIKE 'the answer repeats the instruction%' THEN 'echo of the instruction'
        WHEN error LIKE 'the answer goes round in a loop%' THEN 'loop'
        WHEN error LIKE 'the answer breaks the schema%' THEN 'broken schema'
        ELSE 'other'
    END
$$;
