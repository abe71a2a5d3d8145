"""Forecast: how many flights leave each airport of New York in each of the next 24 hours?"""
