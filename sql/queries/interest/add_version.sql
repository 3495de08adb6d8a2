-- Learn: name what the texts are made with, before the first of them.
INSERT INTO liber.knowledge_version (knowledge_version, model, summary_prompt, shift_prompt, parameters)
VALUES (:knowledge_version, :model, :summary_prompt, :shift_prompt, cast(:parameters AS jsonb))
ON CONFLICT (knowledge_version) DO NOTHING
