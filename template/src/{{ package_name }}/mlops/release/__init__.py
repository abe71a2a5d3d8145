"""Releases to the environments: promote, roll back, status."""
