"""The A/B readout: what was found, whether the data can be trusted, the numbers behind it."""

from datetime import datetime, timedelta

import pandas as pd
import streamlit as st

from liber_tasks.dashboard import charts, words
from liber_tasks.dashboard.data import Row, rows

LOOK = {"better": st.success, "worse": st.error, "unclear": st.info, "mixed": st.warning, "hidden": st.error}


def render() -> None:
    """Draw the page."""
    st.title("A/B readout")
    stored = rows("readouts")
    if not stored:
        st.info("No readout is stored yet. Run `liber readout NAME`, or the ab_readout DAG, and come back.")
        return
    chosen = _choose({row["experiment"]: row for row in stored})
    record = chosen["result"]
    if record["simulated"]:
        st.warning(f"**SIMULATED.** {words.simulation(record['planted'])}", icon=":material/science:")
    verdict, sentence = words.decision(record)
    LOOK[verdict](f"**{words.plain(sentence)}**")
    for warning in words.warnings(record):
        st.warning(warning, icon=":material/warning:")
    _facts(record)
    _numbers(record)
    _raw(record)


def _choose(by_name: dict[str, Row]) -> Row:
    names = list(by_name)
    if len(names) == 1:
        return by_name[names[0]]
    asked = st.query_params.get("experiment")
    name = st.selectbox("Experiment", names, index=names.index(asked) if asked in by_name else 0)
    st.query_params["experiment"] = name
    return by_name[name]


def _facts(record: Row) -> None:
    starts, ends, until = (datetime.fromisoformat(record[field]) for field in ("starts_at", "ends_at", "watermark"))
    ratio, instant = record["sample_ratio"], timedelta(microseconds=1)  # both ends are exclusive
    st.markdown(
        f"{words.plain(record['experiment'])} · {words.plain(record['hypothesis'])}  \n"
        f"{record['users']['control']:,} control and {record['users']['treatment']:,} treated users · "
        f"{words.period(starts, ends - instant)} · plays until {words.day(until - instant)} · "
        f"sample ratio {'as planned' if ratio['ok'] else 'WRONG'} (p {words.p_value(ratio['p_value'])})"
    )


def _numbers(record: Row) -> None:
    table = words.table(record)
    if any(row["lift"] is not None for row in table):
        st.subheader("Relative lift of the treatment")
        st.altair_chart(charts.forest(table), width="stretch")
    st.table(
        pd.DataFrame(
            {
                "Metric": f"{row['metric']}, {row['estimator']}",
                "Lift": words.percent(row["lift"]),
                "95 % interval": words.interval(row["lift_low"], row["lift_high"]),
                "p": words.p_value(row["p_value"]),
                "Control → treated": f"{words.number(row['control'])} → {words.number(row['treatment'])}",
                "Detectable": words.percent(row["mde"]).lstrip("+"),
            }
            for row in table
        ).set_index("Metric")
    )
    for reason in sorted({row["reason"] for row in table if row["reason"]}):
        names = ", ".join(f"{row['metric'].lower()} ({row['estimator']})" for row in table if row["reason"] == reason)
        st.caption(words.plain(f"{names}: {reason}"))
    st.caption(
        "Means per exposed user over the days read (time per play: per play), time in seconds. CUPED adjusts by the "
        "same user's week before. Each p stands alone. Detectable: the smallest lift found with 80 % power, where no "
        "difference was shown."
    )
    st.download_button(
        "Download CSV", pd.DataFrame(table).to_csv(index=False), f"{record['experiment']}.csv", "text/csv"
    )


def _raw(record: Row) -> None:
    with st.expander("Raw record, formulas and SQL"):
        for name, text in record["method"].items():
            st.markdown(f"**{words.plain(name)}** {words.plain(text if isinstance(text, str) else str(text))}")
        st.json(record, expanded=1)
