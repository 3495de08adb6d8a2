-- The encoder and knowledge version with the most vectors, or the encoder of the knowledge version that is asked for;
-- of equals, the newest. Vectors of versions never mix.
SELECT
    v.encoder_version,
    v.knowledge_version,
    e.dimension,
    k.model,
    k.summary_prompt,
    k.shift_prompt
FROM liber.interest_vector AS v
INNER JOIN liber.encoder AS e ON v.encoder_version = e.encoder_version
INNER JOIN liber.knowledge_version AS k ON v.knowledge_version = k.knowledge_version
WHERE v.knowledge_version = coalesce(cast(:knowledge_version AS text), v.knowledge_version)
GROUP BY v.encoder_version, v.knowledge_version, e.dimension, k.model, k.summary_prompt, k.shift_prompt
ORDER BY count(*) DESC, max(v.created_at) DESC, v.encoder_version ASC, v.knowledge_version ASC
LIMIT 1
