"""Drift: compare one day with the reference, a sample of the rows that the model was tested on."""
