"""Anomaly: hours in which an airport does not work as it should; no label is learned from."""
