"""The dashboard: model versions, explanations of predictions, and published batches."""
