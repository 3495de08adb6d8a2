-- Import: name what the texts were made with, before the first of them.
INSERT INTO liber.knowledge_version (
    knowledge_version, model, summary_prompt, shift_prompt, item_prompt, parameters, recipe, registered
)
VALUES (
    :knowledge_version,
    :model,
    :summary_prompt,
    :shift_prompt,
    :item_prompt,
    cast(:parameters AS jsonb),
    cast(:recipe AS jsonb),
    cast(:registered AS jsonb)
)
ON CONFLICT (knowledge_version) DO NOTHING
