"""Stages from raw tables to the dataset: ingest, features, Feast's join, the split."""
