"""Forecast: how many flights leave each New York airport in each of the next 24 hours?"""
