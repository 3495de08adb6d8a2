"""The pipeline: how fresh it is, what waits and since when, how fast it goes, what went wrong, what the LLM cost."""

from datetime import UTC, datetime, timedelta

import pandas as pd
import streamlit as st

from liber_tasks.config import settings
from liber_tasks.dashboard import words
from liber_tasks.dashboard.charts import pipeline
from liber_tasks.dashboard.data import pipeline_state, rows
from liber_tasks.status.state import LlmUse, State, cost

STALE = timedelta(hours=1)  # no stage has ended for so long, and no metrics endpoint counts
SPANS = {"hour": timedelta(hours=48), "day": timedelta(days=30)}
DONE = {
    "ingest": "Behaviours ingested", "partition": "Partitions sealed", "learn": "LLM calls about partitions",
    "items": "LLM calls about items", "tokens_in": "Prompt tokens", "tokens_out": "Answer tokens",
    "encode": "Vectors stored",
}  # fmt: skip
NEWEST = {
    "behaviour": "Behaviour", "partition": "Partition", "text": "Text", "vector": "Vector", "model": "Model",
    "readout": "Readout",
}  # fmt: skip
SOURCES = {"ingest": "ingest", "summary": "summary", "shift": "shift", "item": "item text"}


def render() -> None:
    """Draw the page."""
    st.title("Pipeline")
    with st.container(horizontal=True, vertical_alignment="center"):
        anew = st.button("Refresh", icon=":material/refresh:", help="Counts anew, however long it takes")
        said = st.empty()
    state = _state(anew)
    if not any(one.done or one.pending or one.failed for one in state.stages):
        st.info("Nothing has been ingested yet: run `liber ingest PATH`, or the ingest_behaviors DAG, and come back.")
        return
    now = datetime.now(UTC)
    said.caption(f"Counted {words.age(now - state.counted_at)}, which took {state.seconds:.1f}{words.THIN}s")
    if now - state.counted_at > STALE:
        st.warning(
            f"Stale: these numbers were counted {words.age(now - state.counted_at)}. Refresh counts anew; a run of a "
            "DAG and `liber metrics` do so by themselves.",
            icon=":material/schedule:",
        )
    _freshness(state, now)
    _backlog(state, now)
    _throughput()
    _cost(state)
    _problems(state)


def _state(anew: bool) -> State:
    """What was counted last, by anybody or here."""
    if anew:
        rows.clear()
        pipeline_state.clear()
        st.session_state["counted"] = pipeline_state(True)
    states = [pipeline_state(False), *filter(None, [st.session_state.get("counted")])]
    return max(states, key=lambda one: one.counted_at)


def _freshness(state: State, now: datetime) -> None:
    target = settings().freshness_target
    if not state.waiting:
        st.success("Fresh: every partition that is learnt has its vector.", icon=":material/check_circle:")
    else:
        waited = words.span(state.waiting + (now - state.counted_at))
        text = f"the oldest partition without its vector has waited {waited}; the target is {words.span(target)}."
        if state.waiting + (now - state.counted_at) > target:
            st.error(f"Late: {text}", icon=":material/schedule:")
        else:
            st.info(f"On time: {text}", icon=":material/check_circle:")
    with st.expander("Newest of each kind"):
        st.table(
            pd.DataFrame(
                {
                    "Newest": label,
                    "Stored": words.age(now - at) if (at := state.newest.get(kind)) else "never, or long ago",
                    "At": f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else "–",
                }
                for kind, label in NEWEST.items()
            ).set_index("Newest")
        )


def _backlog(state: State, now: datetime) -> None:
    st.subheader("Backlog")
    shown = [one for one in state.stages if one.done + one.pending + one.failed]
    st.altair_chart(pipeline.stages(shown), width="stretch")
    st.table(
        pd.DataFrame(
            {
                "Stage": one.stage,
                "Counts": one.unit,
                "Done": f"{one.done:,}",
                "Waiting": f"{one.pending:,}",
                "Oldest": words.span(now - one.oldest_pending_at) if one.oldest_pending_at else "–",
                "Set aside": f"{one.failed:,}",
            }
            for one in state.stages
        ).set_index("Stage")
    )
    st.caption(
        "Waiting: not done yet. Oldest: how long the oldest of what the next run takes up has waited; learning takes "
        "the users that LIBER_LEARN_MAX_USERS allows, sealing full caches."
    )


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
        st.markdown(f"Nothing was done in the last {span // timedelta(hours=1)} hours, as far as it was counted.")
    for measure, label in DONE.items():
        mine = [row for row in found if row["measure"] == measure and row["n"]]
        if mine:
            st.markdown(f"**{label}** · {sum(row['n'] for row in mine):,} since {words.day(since)}")
            st.altair_chart(pipeline.throughput(mine, unit or "hour", since, now), width="stretch")


def _cost(state: State) -> None:
    st.subheader("What the LLM cost")
    if not state.llm:
        st.markdown("Nothing: no LLM was called.")
        return
    st.table(
        pd.DataFrame(
            {
                "Version": words.plain(one.knowledge_version),
                "Model": words.plain(one.model),
                "Calls": f"{one.calls:,}",
                "Tokens in": f"{one.prompt_tokens:,}",
                "Tokens out": f"{one.completion_tokens:,}",
                "Time": words.work(one.seconds),
                "Per call": f"{one.seconds / one.done:.2f}{words.THIN}s" if one.done else "–",
                "Cost": _money((one,)),
            }
            for one in state.llm
        ).set_index("Version")
    )
    st.caption(
        f"All versions: {_money(state.llm)}. Calls with their repetitions. Time: all calls that were answered, one "
        "after the other; they ran together. Cost: tokens by LIBER_LLM_PRICE_IN and LIBER_LLM_PRICE_OUT."
    )


def _money(uses: tuple[LlmUse, ...]) -> str:
    chosen = settings()
    found = cost(uses, chosen.llm_price_in, chosen.llm_price_out)
    return "no price is set" if found is None else f"{found:,.2f} {words.plain(chosen.llm_currency)}"


def _problems(state: State) -> None:
    st.subheader("What went wrong")
    if not state.problems:
        st.markdown("Nothing: no row was refused, and no LLM call failed or was set aside.")
        return
    st.table(
        pd.DataFrame(
            {
                "At": SOURCES.get(one.source, one.source),
                "What": words.plain(one.reason),
                "State": "set aside" if one.state == "quarantined" else words.plain(one.state),
                "Count": f"{one.n:,}",
            }
            for one in state.problems
        ).set_index("At")
    )
    st.caption(
        "Rejected: rows refused at ingest, kept with their line. Failed: LLM calls that the next run asks again. Set "
        "aside: LLM calls that no run repeats without `liber learn --retry-quarantined`. What to do: docs/runbook.md."
    )
