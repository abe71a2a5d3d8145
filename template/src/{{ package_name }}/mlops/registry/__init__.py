"""MLflow runs and registered model versions, and models loaded from them."""
