"""Checks of a checkout; each finding comes with what to type."""
