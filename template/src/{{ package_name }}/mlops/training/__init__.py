"""Train, evaluate, gate and register a model; tune its parameters."""
