"""The A/B readout: what was found, whether the data can be trusted, the numbers behind it."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from liber_tasks.dashboard import filters, readout_details, readout_origin, remarks, states, tables, verdicts, words
from liber_tasks.dashboard.charts.forest import forest
from liber_tasks.dashboard.data import Row, record, rows
from liber_tasks.experiment.record import METHODS, Readout

LOOK = {
    "better": st.success, "worse": st.error, "breach": st.error, "unclear": st.info, "mixed": st.warning,
    "hidden": st.error,
}  # fmt: skip
ALL, DECIDING = "all", "deciding"  # methods shown


def render() -> None:
    """Draw the page."""
    st.title("A/B readout")
    names = [row["name"] for row in rows("readout_names")]
    if not names:
        st.info("No readout is stored yet. Run `liber readout NAME`, or the ab_readout DAG, and come back.")
        return
    asked = st.query_params.get("experiment")
    if asked is not None and asked not in names:
        st.warning(f"Of experiment {words.plain(asked)} no readout is stored; this is another one.")
    name = filters.choose("Experiment", "experiment", names)
    stored = rows("readout", name=name)[0]
    readout = record(name, stored["result"])
    _card(readout)
    _banners(readout, stored)
    _facts(readout, stored)
    if readout.sample_ratio.ok:
        _lifts(readout)
        readout_details.guardrails(readout)
        readout_details.by_metric(readout)
    readout_details.quality(readout)
    readout_origin.calibration(name)
    readout_origin.models(readout)
    readout_origin.method(readout)
    readout_origin.downloads(readout, stored["result"])


def _card(readout: Readout) -> None:
    if readout.simulated:
        st.warning(f"**SIMULATED.** {words.plain(remarks.simulation(readout))}", icon=":material/science:")
    verdict, said = verdicts.decision(readout)
    LOOK[verdict](f"**{verdicts.headline(readout)}**  \n{words.plain(said)}")


def _banners(readout: Readout, stored: Row) -> None:
    if broken := remarks.mismatch(readout):
        causes = "".join(f"\n- {words.plain(cause)}" for cause in readout.sample_ratio.causes)
        st.error(
            words.plain(broken) + (f"\n\nLikely causes, the likeliest first:\n{causes}" if causes else ""),
            icon=":material/warning:",
        )
    now = datetime.now(UTC)
    late, read = states.freshness(states.state(stored, now).stage, stored["read_at"], now)
    if late:
        st.warning(
            f"Stale: the experiment runs, but was {read}. Look for a failed run of the ab_readout DAG.",
            icon=":material/schedule:",
        )
    if warnings := remarks.warnings(readout):
        st.warning("  \n".join(map(words.plain, warnings)), icon=":material/warning:")


def _facts(readout: Readout, stored: Row) -> None:
    starts, ends, until = (datetime.fromisoformat(of) for of in (readout.starts_at, readout.ends_at, readout.watermark))
    ratio, instant, now = readout.sample_ratio, timedelta(microseconds=1), datetime.now(UTC)  # both ends are exclusive
    known = "" if readout.complete else f", plays known until {words.day(until - instant)}"
    st.markdown(
        f"{words.plain(readout.experiment)} · {words.plain(readout.hypothesis)}  \n"
        f"{readout.users['control']:,} control and {readout.users['treatment']:,} treated users · "
        f"{words.period(starts, ends - instant)} · {states.state(stored, now).words}{known} · "
        f"read {words.age(now - stored['read_at'])} · "
        f"sample ratio {'as planned' if ratio.ok else 'WRONG'} (p {words.p_value(ratio.p_value)})"
    )


def _shown(readout: Readout) -> list[Row]:
    """Rows of the methods that the reader wants to see."""
    table = tables.estimates(readout)
    there = {name for one in readout.metrics.values() for name in one.estimates}
    options = [ALL, DECIDING, *(name for name in METHODS if name in there)]
    says = {ALL: "all methods", DECIDING: "the method that decides"}
    shown = filters.choose("Method shown", "method", options, lambda name: says.get(name, words.method(name)))
    if shown == ALL:
        return table
    return [row for row in table if (row["decides"] if shown == DECIDING else row["method"] == words.method(shown))]


def _lifts(readout: Readout) -> None:
    st.subheader("Relative lift of the treatment")
    table = _shown(readout)
    if any(row["lift"] is not None for row in table):
        st.altair_chart(forest(table, readout.experiment), width="stretch")
        st.caption(
            "Blue: the method that decides, fixed before the experiment. Pale: the other methods, for comparison only."
        )
    else:
        st.markdown("No lift can be given: the table says why.")
    _table(table, readout)


def _table(table: list[Row], readout: Readout) -> None:
    st.table(
        pd.DataFrame(
            {
                "Metric": words.plain(f"{row['metric']}, {row['method']}") + (" **decides**" if row["decides"] else ""),
                "Lift, 95 % interval": words.lift(row["lift"], row["lift_low"], row["lift_high"]),
                "p": words.p_value(row["p_value"]),
                "Control → treated": f"{words.number(row['control'])} → {words.number(row['treatment'])}",
                "Detectable": words.share(row["mde"]),
            }
            for row in table
        ).set_index("Metric")
    )
    for reason in sorted({row["reason"] for row in table if row["reason"]}):
        names = ", ".join(f"{row['metric'].lower()} ({row['method']})" for row in table if row["reason"] == reason)
        st.caption(words.plain(f"{names}: {reason}"))
    units = "; ".join(dict.fromkeys(f"{row['metric'].lower()} in {row['unit']}" for row in table))
    st.caption(
        words.plain(f"Means per arm: {units}. ")
        + "CUPED adjusts by the same user's time before; capped: the largest values count as the cap. Each p stands "
        "alone. Detectable: the smallest lift found with 80 % power, where no difference was shown."
    )
    caps = [f"{words.metric(one.name).lower()} at {words.number(one.cap)} {one.unit}"
            for one in verdicts.ordered(readout) if one.cap is not None]  # fmt: skip
    if caps:
        st.caption(words.plain(f"Capped: {', '.join(caps)}."))
