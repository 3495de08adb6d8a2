"""The Streamlit app: three pages over stored results. Start it with `python -m liber_tasks.dashboard`."""

from collections.abc import Callable
from functools import wraps

import streamlit as st

from liber_tasks.dashboard import pipeline_page, readout_page, timeline_page
from liber_tasks.errors import LiberError


def guarded(render: Callable[[], None]) -> Callable[[], None]:
    """The page, with errors a user can act on as a sentence."""

    @wraps(render)
    def page() -> None:
        try:
            render()
        except LiberError as error:
            st.error(str(error), icon=":material/error:")

    return page


def main() -> None:
    """Draw the chosen page."""
    st.set_page_config(page_title="LIBER", layout="centered")
    pages = [  # without icons: the browser would fetch each from the web, for its tab
        st.Page(guarded(readout_page.render), title="A/B readout", url_path="readout", default=True),
        st.Page(guarded(timeline_page.render), title="Interest timeline", url_path="timeline"),
        st.Page(guarded(pipeline_page.render), title="Pipeline", url_path="pipeline"),
    ]
    st.navigation(pages, position="top").run()


main()
