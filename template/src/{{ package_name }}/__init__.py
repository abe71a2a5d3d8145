"""The model: data, features, model, metrics and schema are yours; mlops/ is the platform's."""
