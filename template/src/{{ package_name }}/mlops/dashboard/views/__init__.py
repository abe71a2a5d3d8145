"""The pages: a module has a TITLE, an ICON, its PLACE among them, and `show`.

Streamlit would take a folder called `pages` for its own.
"""
