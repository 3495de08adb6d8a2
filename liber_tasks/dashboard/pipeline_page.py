"""The pipeline: what is done, what waits, how fast it goes, what the LLM cost, what was set aside and why."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from liber_tasks.dashboard import words
from liber_tasks.dashboard.charts import pipeline
from liber_tasks.dashboard.data import Row, rows

SPANS = {"hour": timedelta(hours=48), "day": timedelta(days=30)}
STAGES = {
    "ingest": "Behaviours ingested", "partition": "Partitions sealed", "learn": "LLM calls done",
    "encode": "Vectors stored",
}  # fmt: skip
FRESH = {
    "behaviour": "Behaviour", "partition": "Partition", "text": "Text", "vector": "Vector", "readout": "Readout",
}  # fmt: skip
LOOKED_BACK = 30  # days


def render() -> None:
    """Draw the page."""
    st.title("Pipeline")
    if st.button("Refresh", icon=":material/refresh:"):
        rows.clear()
    backlog = st.container()  # filled last: to count millions of texts takes seconds
    newest = rows("freshness", days=LOOKED_BACK)[0]
    if newest["behaviour"] is not None or _any(rows("pipeline")):
        _freshness(newest)
        _throughput()
        _cost()
        _set_aside()
        with backlog, st.spinner("Counting what is done and what waits"):
            _backlog(rows("pipeline"))
    else:
        st.info("Nothing has been ingested yet: run `liber ingest PATH`, or the ingest_behaviors DAG, and come back.")


def _any(status: list[Row]) -> bool:
    return any(row["done"] or row["pending"] or row["failed"] for row in status)


def _backlog(status: list[Row]) -> None:
    st.altair_chart(
        pipeline.stages([row for row in status if row["done"] + row["pending"] + row["failed"]]), width="stretch"
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


def _freshness(newest: Row) -> None:
    st.subheader("Freshness")
    now = datetime.now(UTC)
    st.table(
        pd.DataFrame(
            {
                "Newest": label,
                "Stored": words.age(now - newest[field]) if newest[field] else "never, or long ago",
                "At": f"{newest[field].astimezone(UTC):%Y-%m-%d %H:%M} UTC" if newest[field] else "–",
            }
            for field, label in FRESH.items()
        ).set_index("Newest")
    )
    st.caption(f"Partitions and vectors are looked for {LOOKED_BACK} days back.")


def _throughput() -> None:
    st.subheader("Throughput")
    unit = st.segmented_control("Counted by", list(SPANS), default="hour", required=True, format_func="per {}".format)
    span = SPANS[unit or "hour"]
    now = datetime.now(UTC)
    since = (now - span).replace(minute=0, second=0, microsecond=0)
    if unit == "day":
        since = since.replace(hour=0)
    found = rows("throughput", width=timedelta(days=1) if unit == "day" else timedelta(hours=1), since=since)
    if not found:
        st.markdown(f"Nothing was done in the last {span // timedelta(hours=1)} hours.")
    for stage, label in STAGES.items():
        mine = [row for row in found if row["stage"] == stage]
        if mine:
            st.markdown(f"**{label}** · {sum(row['n'] for row in mine):,} since {words.day(since)}")
            st.altair_chart(pipeline.throughput(mine, unit or "hour", since, now), width="stretch")


def _cost() -> None:
    st.subheader("What the LLM cost")
    found = rows("llm_cost")
    if not found:
        st.markdown("Nothing: no LLM was called.")
        return
    st.table(
        pd.DataFrame(
            {
                "Version": words.plain(row["knowledge_version"]),
                "Model": words.plain(row["model"]),
                "Calls": f"{row['calls']:,}",
                "Tokens in": f"{row['prompt_tokens']:,}",
                "Tokens out": f"{row['completion_tokens']:,}",
                "Time": _hours(row["seconds"]),
                "Per call": f"{row['seconds'] / row['done']:.2f}{words.THIN}s" if row["done"] else "–",
            }
            for row in found
        ).set_index("Version")
    )
    st.caption(
        "Calls with their repetitions. Time: all calls that were answered, one after the other; they ran together."
    )


def _hours(seconds: float) -> str:
    size, unit = (3600, "h") if seconds >= 3600 else (60, "min") if seconds >= 60 else (1, "s")
    return f"{seconds / size:,.1f}{words.THIN}{unit}"


def _set_aside() -> None:
    st.subheader("Set aside")
    rejected, quarantined = rows("rejected"), rows("quarantined")
    if not rejected and not quarantined:
        st.markdown("Nothing: no row was refused and no LLM call was quarantined.")
    if rejected:
        st.table(
            pd.DataFrame(
                {"Rows refused at ingest": words.plain(row["reason"]), "Rows": f"{row['n']:,}"} for row in rejected
            ).set_index("Rows refused at ingest")
        )
    if quarantined:
        st.table(
            pd.DataFrame(
                {"LLM calls quarantined": words.plain(f"{row['kind']}: {row['error']}"), "Calls": f"{row['n']:,}"}
                for row in quarantined
            ).set_index("LLM calls quarantined")
        )
