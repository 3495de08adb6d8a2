"""Point-in-time samples, training, honest evaluation, registration in MLflow."""
