"""Batch inference: score one day's rows in shards and publish the predictions."""
