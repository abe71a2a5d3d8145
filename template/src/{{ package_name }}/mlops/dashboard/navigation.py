"""The way to the pages, and what stands in the place of one that lacks something."""

from collections.abc import Callable
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import streamlit as st

from ..errors import Problem
from ..settings import settings
from . import views


def show() -> None:
    """Draw the page that was chosen."""
    name = settings().model_name
    st.set_page_config(page_title=name, page_icon=":material/monitoring:", layout="wide")
    st.navigation({name: [_entry(page) for page in found()]}).run()


def found() -> list[Any]:
    """The modules of views/, in order."""
    names = [module.name for module in iter_modules(views.__path__)]
    modules = [import_module(f"{views.__name__}.{name}") for name in names]
    return sorted(modules, key=lambda page: page.PLACE)


def _entry(page: Any) -> Any:
    url = page.__name__.rpartition(".")[2]
    return st.Page(drawn(page), title=page.TITLE, icon=page.ICON, url_path=url)


def drawn(page: Any) -> Callable[[], None]:
    """Give what draws a page, or says what to type first."""

    def draw() -> None:
        st.title(page.TITLE)
        try:
            page.show()
        except Problem as problem:
            st.info(str(problem), icon=":material/info:")

    return draw
