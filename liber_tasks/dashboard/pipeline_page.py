"""The pipeline: what is done, what waits, what was set aside and why."""

import pandas as pd
import streamlit as st

from liber_tasks.dashboard import charts
from liber_tasks.dashboard.data import rows


def render() -> None:
    """Draw the page."""
    st.title("Pipeline")
    if st.button("Refresh", icon=":material/refresh:"):
        rows.clear()
    status = rows("pipeline")
    if not any(row["done"] or row["pending"] or row["failed"] for row in status):
        st.info("Nothing has been ingested yet: run `liber ingest PATH`, or the ingest_behaviors DAG, and come back.")
        return
    st.altair_chart(
        charts.stages([row for row in status if row["done"] + row["pending"] + row["failed"]]), width="stretch"
    )
    st.table(
        pd.DataFrame(
            {
                "Stage": row["stage"],
                "Counts": row["unit"],
                "Done": f"{row['done']:,}",
                "Waiting": f"{row['pending']:,}",
                "Set aside": f"{row['failed']:,}",
            }
            for row in status
        ).set_index("Stage")
    )
    st.caption("Waiting: what the next run may take up. Learning takes the users that LIBER_LEARN_MAX_USERS allows.")
    st.subheader("Set aside")
    rejected, quarantined = rows("rejected"), rows("quarantined")
    if not rejected and not quarantined:
        st.markdown("Nothing: no row was refused and no LLM call was quarantined.")
    if rejected:
        st.table(
            pd.DataFrame(
                {"Rows refused at ingest": row["reason"], "Rows": f"{row['n']:,}"} for row in rejected
            ).set_index("Rows refused at ingest")
        )
    if quarantined:
        st.table(
            pd.DataFrame(
                {"LLM calls quarantined": f"{row['kind']}: {row['error']}", "Calls": f"{row['n']:,}"}
                for row in quarantined
            ).set_index("LLM calls quarantined")
        )
