"""Navigation between the pages, and the hint that replaces a page whose data is missing."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import TYPE_CHECKING

import streamlit as st

from ..errors import Problem
from ..settings import settings
from . import views

if TYPE_CHECKING:
    from streamlit.navigation.page import StreamlitPage


def show() -> None:
    """Draw the selected page."""
    name = settings().model_name
    st.set_page_config(page_title=name, page_icon=":material/monitoring:", layout="wide")
    st.navigation({name: [_entry(page) for page in pages()]}).run()


def pages() -> list[ModuleType]:
    """Return the modules of views/, in the order of their PLACE."""
    names = [module.name for module in iter_modules(views.__path__)]
    modules = [import_module(f"{views.__name__}.{name}") for name in names]
    return sorted(modules, key=lambda page: page.PLACE)


def _entry(page: ModuleType) -> "StreamlitPage":
    url = page.__name__.rpartition(".")[2]
    return st.Page(drawn(page), title=page.TITLE, icon=page.ICON, url_path=url)


def drawn(page: ModuleType) -> Callable[[], None]:
    """Return a function that draws a page, or else a hint on what to type first."""

    def draw() -> None:
        st.title(page.TITLE)
        try:
            page.show()
        except Problem as problem:
            st.info(str(problem), icon=":material/info:")

    return draw
