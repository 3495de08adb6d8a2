"""All experiments: where each stands and what was found."""

from datetime import UTC, datetime

import streamlit as st

from liber_tasks.dashboard import readout_page, states, verdicts, words
from liber_tasks.dashboard.data import Row, record, rows
from liber_tasks.errors import LiberError
from liber_tasks.experiment.record import Readout

LISTED = 500
SHOWN = 20
BADGES = {
    "planned": ("gray", ":material/event:"), "running": ("blue", ":material/play_arrow:"),
    "finished": ("green", ":material/flag:"), "archived": ("gray", ":material/inventory_2:"),
}  # fmt: skip
ALL = "all"


def render() -> None:
    """Draw the page."""
    st.title("Experiments")
    found = rows("experiments", n=LISTED)
    if not found:
        st.info("There is no experiment yet. The ab_readout DAG with `simulate` makes one to look at.")
        return
    now = datetime.now(UTC)
    staged = [(row, states.state(row, now)) for row in found]
    there = [stage for stage in BADGES if any(state.stage == stage for _, state in staged)]
    if len(there) > 1:
        asked = st.query_params.get("state", ALL)
        chosen = st.segmented_control(
            "State",
            [ALL, *there],
            default=asked if asked in there else ALL,
            required=True,
            label_visibility="collapsed",
        )
        st.query_params["state"] = chosen or ALL
        staged = [(row, state) for row, state in staged if chosen in (None, ALL, state.stage)]
    everything = len(staged) <= SHOWN or st.toggle(f"Show all {len(staged)}, not the {SHOWN} that started last")
    for row, state in staged if everything else staged[:SHOWN]:
        _experiment(row, state, now)


def _experiment(row: Row, state: states.State, now: datetime) -> None:
    with st.container(border=True):
        readout, unreadable = _read(row)
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.markdown(f"**{words.plain(row['name'])}**", width="content")
            colour, icon = BADGES[state.stage]
            st.badge(state.words, icon=icon, color=colour)  # type: ignore[arg-type]
            late, read = states.freshness(state.stage, row["read_at"], now)
            if late:
                st.badge("stale" if row["read_at"] else "no data", icon=":material/schedule:", color="orange")
            if row["simulated"]:
                st.badge("SIMULATED", icon=":material/science:", color="orange")
            if readout:
                page = st.Page(readout_page.render, title="A/B readout", url_path="readout")
                st.page_link(
                    page, label="Readout", icon=":material/arrow_forward:", icon_position="right",
                    query_params={"experiment": row["name"]}, help=f"Readout of {words.plain(row['name'])}",
                )  # fmt: skip
        if unreadable:
            st.error(words.plain(unreadable))
        elif readout:
            _found(readout)
        st.caption(f"{_users(readout)}{read} · {words.plain(row['hypothesis'])}")


def _read(row: Row) -> tuple[Readout | None, str | None]:
    if row["result"] is None:
        return None, None
    try:
        return record(row["name"], row["result"]), None
    except LiberError as error:
        return None, str(error)


def _found(readout: Readout) -> None:
    lifts = [
        f"{words.metric(one.name).lower()} {_lift(readout, one.name)}"
        for one in verdicts.primaries(readout)
    ] if readout.sample_ratio.ok else ["the arms do not have the users they should have"]  # fmt: skip
    st.markdown(f"**{verdicts.headline(readout)}** · {words.plain(', '.join(lifts))}")


def _lift(readout: Readout, name: str) -> str:
    """A primary metric's lift with the interval that a decision may rest on now."""
    one = readout.metrics[name]
    look = verdicts.newest_look(one)
    if readout.complete:
        low, lift, high = one.best.lift_low, one.best.lift, one.best.lift_high
    elif look:
        low, lift, high = look.planned_low, look.lift, look.planned_high
    else:
        return "not judged before its first planned look"
    return f"{words.percent(lift)} ({words.interval(low, high)})" if lift is not None else "cannot be compared"


def _users(readout: Readout | None) -> str:
    return f"{sum(readout.users.values()):,} users · " if readout else ""
