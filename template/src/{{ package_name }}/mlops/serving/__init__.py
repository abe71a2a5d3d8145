"""Stream inference: the model in production behind HTTP."""
