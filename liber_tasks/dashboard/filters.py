"""What a reader has chosen, kept in the page's address: the same address shows the same view."""

from collections.abc import Callable, Sequence
from urllib.parse import urlencode

import streamlit as st


def choose(label: str, name: str, options: Sequence[str], says: Callable[[str], str] = str) -> str:
    """One of the options: the reader's choice, else the address's, else the first. It is in the address afterwards.

    Args:
        label: of the widget, which is left out where there is nothing to choose.
        name: of the query parameter.
        options: at least one.
        says: an option in words.
    """
    asked = st.query_params.get(name)
    chosen = asked if asked is not None and asked in options else options[0]
    if len(options) > 1:
        chosen = st.selectbox(label, list(options), index=list(options).index(chosen), format_func=says) or chosen
    st.query_params[name] = chosen
    return chosen


def address() -> str:
    """The page's address with every choice."""
    page = (st.context.url or "").split("?")[0]
    return f"{page}?{urlencode(st.query_params.to_dict())}"
