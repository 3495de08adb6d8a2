"""The readout metric by metric: day by day, segments, novelty, distribution; guardrails and checks of the data."""

import pandas as pd
import streamlit as st

from liber_tasks.dashboard import filters, remarks, tables, verdicts, words
from liber_tasks.dashboard.charts import days, forest
from liber_tasks.dashboard.charts.distribution import distribution
from liber_tasks.experiment.record import Metric, Readout

SEGMENTS_DRAWN = 20


def guardrails(readout: Readout) -> None:
    """Draw the guardrails, if there are any."""
    found = [one for one in verdicts.ordered(readout) if one.guardrail]
    if not found:
        return
    st.subheader("Guardrails")
    st.table(
        pd.DataFrame(
            {
                "Guardrail": words.metric(one.name),
                "May lose": words.share(one.guardrail.margin if one.guardrail else None),
                "Lift, 95 % interval": words.lift(one.best.lift, one.best.lift_low, one.best.lift_high),
                "Verdict": words.plain(remarks.guardrail(one)),
            }
            for one in found
        ).set_index("Guardrail")
    )
    lower = [words.metric(one.name).lower() for one in found if one.better == "lower"]
    if lower:
        st.caption(f"Lower is better: {words.listed(lower)}.")


def by_metric(readout: Readout) -> None:
    """Draw what is known of one metric, which the reader chooses."""
    found = {one.name: one for one in verdicts.ordered(readout)}
    if not any(one.looks or one.segments or one.novelty or one.distribution for one in found.values()):
        st.caption("This readout is of an older method: it has no days, segments, novelty or distribution.")
        return
    st.header("Metric by metric", divider="gray")
    one = found[filters.choose("Metric", "metric", list(found), words.metric)]
    how = f"{words.metric(one.name)}, {words.method(verdicts.decides(one))}"
    _daily(readout, one, how)
    _segments(readout, one, how)
    _novelty(readout, one)
    _distribution(readout, one)


def _daily(readout: Readout, one: Metric, how: str) -> None:
    st.subheader("Day by day")
    looks = tables.looks(one)
    if not any(look["lift"] is not None for look in looks):
        st.markdown("No day can be compared yet.")
        return
    st.altair_chart(days.daily(looks, f"{readout.experiment}: {how}"), width="stretch")
    newest = looks[-1]
    at = pd.Timestamp(newest["until"]) - pd.Timedelta(days=1)
    bands = [
        f"{interval} by the band {which}"
        for interval, which in (
            (words.interval(newest["planned_low"], newest["planned_high"]), "that holds at all planned looks together"),
            (words.interval(newest["anytime_low"], newest["anytime_high"]), "that holds whenever one looks"),
        )
        if interval != "–"
    ]
    st.caption(
        f"{how}: the lift of all days until then. On {words.day(at)} {words.percent(newest['lift'])}"
        f"{', ' if bands else ''}{words.listed(bands)}. Bars: planned looks; only they may end an experiment early. "
        "Wide bands of the first days are cut."
    )


def _segments(readout: Readout, one: Metric, how: str) -> None:
    dimensions = tables.dimensions(one)
    if not dimensions:
        return
    st.subheader("Segments")
    dimension = filters.choose("Split by", "dimension", dimensions, words.sentence)
    st.markdown(words.plain(remarks.interaction(one, dimension)))
    table = tables.segments(one, dimension)
    drawn = table[:SEGMENTS_DRAWN]
    if any(row["lift"] is not None for row in drawn):
        st.altair_chart(forest.segments(drawn, f"{readout.experiment}: {how}, by {dimension}"), width="stretch")
    st.table(
        pd.DataFrame(
            {
                words.plain(words.sentence(dimension)): words.plain(row["value"]),
                "Users": f"{row['users']:,}",
                "Lift, 95 % interval": words.lift(row["lift"], row["lift_low"], row["lift_high"]),
                "p, adjusted": words.p_value(row["p_adjusted"]),
            }
            for row in table
        ).set_index(words.plain(words.sentence(dimension)))
    )
    for reason in sorted({row["reason"] for row in table if row["reason"]}):
        st.caption(words.plain(f"{words.listed([row['value'] for row in table if row['reason'] == reason])}: {reason}"))
    st.caption(
        f"{how}. Adjusted by Benjamini and Hochberg over all segments of all primary metrics: of those with a p below "
        "0.05, about one in twenty is chance."
    )


def _novelty(readout: Readout, one: Metric) -> None:
    st.subheader("Novelty")
    table = tables.ages(one)
    st.markdown(words.plain(remarks.novelty(one)))
    if any(row["lift"] is not None for row in table):
        st.altair_chart(days.novelty(table, f"{readout.experiment}: {words.metric(one.name)}, raw"), width="stretch")
        st.caption("Raw lift of each day since a user's first exposure, of the users who have come that far.")


def _distribution(readout: Readout, one: Metric) -> None:
    if one.distribution is None:
        return
    st.subheader("Distribution")
    zeros = tables.zeros(one)
    none = ", ".join(f"{words.share(n)} of the {words.ARM_NAMES[arm]} users" for arm, n in zeros.items())
    cap = "Nothing is capped." if one.cap is None else f"Capped methods count at most {words.number(one.cap)}."
    st.markdown(words.plain(f"With none at all: {none}. {cap}"))
    table = tables.bins(one)
    if table:
        of = f"{readout.experiment}: {words.metric(one.name)}"
        st.altair_chart(distribution(table, one.cap, one.unit, of), width="stretch")


def quality(readout: Readout) -> None:
    """Draw the checks of the data."""
    st.subheader("Data quality")
    st.table(pd.DataFrame(remarks.quality(readout)).map(words.plain).set_index("Check"))
