"""Regression: how many minutes late will this flight arrive, and between which bounds?"""
