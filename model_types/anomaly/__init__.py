"""Anomaly: hours in which an airport does not work as it should, learned without labels."""
