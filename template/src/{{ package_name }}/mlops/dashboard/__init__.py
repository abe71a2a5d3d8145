"""The dashboard: what a model has become, why it says what it says, and what was published."""
