-- Freeze an encoder. The same digest again is the same encoder.
INSERT INTO liber.encoder (
    encoder_version, model, pooling, dtype, dimension, pca_sha256, pca, fitted_texts, fitted_before, explained_variance
)
VALUES (
    :encoder_version, :model, :pooling, :dtype, :dimension, :pca_sha256, :pca, :fitted_texts, :fitted_before,
    :explained_variance
)
ON CONFLICT (encoder_version) DO NOTHING
