"""Stream inference: the production model over HTTP."""
