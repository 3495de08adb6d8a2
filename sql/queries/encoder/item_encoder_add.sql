-- Encode items: name what makes their vectors. The same digest again is the same encoder.
INSERT INTO liber.item_encoder (
    encoder_version, kind, knowledge_version, model, dimension, lexical, centre, fitted_items, fitted_before
)
VALUES (
    :encoder_version, :kind, :knowledge_version, :model, :dimension, :lexical, cast(:centre AS vector), :fitted_items,
    cast(:fitted_before AS timestamptz)
)
ON CONFLICT (encoder_version) DO NOTHING
