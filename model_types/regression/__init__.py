"""Regression: how many minutes late will this flight arrive, with an 80 % interval?"""
