"""Text: is this HTTP request an attack?"""
