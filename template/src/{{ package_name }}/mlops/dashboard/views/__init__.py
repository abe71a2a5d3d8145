"""The pages: each module has a TITLE, an ICON, a PLACE in the order, and `show`.

The folder is not called `pages`, because Streamlit handles such a folder itself.
"""
