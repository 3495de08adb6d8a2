-- Learn: name what the texts are made with, before the first of them. Where the prompts are in a registry may become
-- known later.
INSERT INTO liber.knowledge_version AS k (
    knowledge_version, model, summary_prompt, shift_prompt, item_prompt, parameters, recipe, registered
)
VALUES (
    :knowledge_version, :model, :summary_prompt, :shift_prompt, :item_prompt, cast(:parameters AS jsonb),
    cast(:recipe AS jsonb), cast(:registered AS jsonb)
)
ON CONFLICT (knowledge_version) DO UPDATE
    SET registered = k.registered || excluded.registered
    WHERE NOT k.registered @> excluded.registered
