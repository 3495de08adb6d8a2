-- Registry: everything known of a frozen encoder.
SELECT
    encoder_version,
    model,
    pooling,
    dtype,
    dimension,
    pca,
    pca_sha256,
    fitted_texts,
    fitted_before,
    explained_variance
FROM liber.encoder
WHERE encoder_version = :encoder_version
