"""The verbs that not all repos need, or not every day: `mlops`'s in `.py`, make's in `.mk`."""
