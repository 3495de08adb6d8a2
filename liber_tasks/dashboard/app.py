"""The Streamlit app: pages over stored results. Start it with `python -m liber_tasks.dashboard`."""

from collections.abc import Callable
from functools import wraps

import streamlit as st

from liber_tasks.config import settings
from liber_tasks.dashboard import experiments_page, pipeline_page, readout_page, timeline_page
from liber_tasks.errors import LiberError


def guarded(render: Callable[[], None]) -> Callable[[], None]:
    """The page for those who may read it, with errors a user can act on as a sentence."""

    @wraps(render)
    def page() -> None:
        if not _may_read():
            st.title("LIBER")
            st.markdown("Sign in to read the dashboard.")
            st.button("Sign in", on_click=st.login, type="primary", icon=":material/login:")
            return
        try:
            render()
        except LiberError as error:
            st.error(str(error), icon=":material/error:")
        if settings().dashboard_auth is not None:
            st.divider()
            st.button("Sign out", on_click=st.logout, icon=":material/logout:")

    return page


def _may_read() -> bool:
    return settings().dashboard_auth is None or bool(st.user.is_logged_in)


def main() -> None:
    """Draw the chosen page."""
    st.set_page_config(page_title="LIBER", layout="centered")
    pages = [  # without icons: the browser would fetch each from the web, for its tab
        st.Page(guarded(experiments_page.render), title="Experiments", url_path="experiments", default=True),
        st.Page(guarded(readout_page.render), title="A/B readout", url_path="readout"),
        st.Page(guarded(timeline_page.render), title="Interest timeline", url_path="timeline"),
        st.Page(guarded(pipeline_page.render), title="Pipeline", url_path="pipeline"),
    ]
    st.navigation(pages, position="top" if _may_read() else "hidden").run()


main()
