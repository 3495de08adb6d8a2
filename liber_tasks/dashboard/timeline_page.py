"""The interest timeline of one user: partitions, what was read from them, and what still waits."""

import streamlit as st

from liber_tasks.dashboard import words
from liber_tasks.dashboard.data import Row, rows

USERS_LISTED = 500
PARTITIONS_SHOWN = 20


def render() -> None:
    """Draw the page."""
    st.title("Interest timeline")
    user_id = _choose()
    if user_id is None:
        return
    known = rows("user", user_id=user_id)
    if not known:
        st.warning(f"User {words.plain(user_id)} is unknown: no behaviour of this user was ingested.")
        return
    versions = rows("versions", user_id=user_id)
    version = _version(versions)
    partitions = rows("timeline", user_id=user_id, knowledge_version=version)
    learnt = sum(row["summary"] is not None for row in partitions)
    st.markdown(
        f"User **{words.plain(user_id)}** · {known[0]['behaviors']:,} behaviours · {len(partitions):,} partitions, "
        f"{learnt:,} learnt · {known[0]['cached']:,} behaviours in the cache of the next one"
    )
    if any(words.is_embedded(row["model"]) for row in versions if row["knowledge_version"] == version):
        st.warning(
            "Texts of the packaged 135M model prove the wiring, not the value: a model this small invents and copies. "
            "Point `LIBER_LLM_URL` at a stronger one to learn from its texts.",
            icon=":material/experiment:",
        )
    if not partitions:
        st.info("No partition is closed yet: run `liber seal`, or wait for more behaviours.")
    total = len(partitions)
    everything = total <= PARTITIONS_SHOWN or st.toggle(
        f"Show all {total} partitions, not the newest {PARTITIONS_SHOWN}"
    )
    for row in partitions if everything else partitions[:PARTITIONS_SHOWN]:
        _partition(row)


def _choose() -> str | None:
    listed = rows("users", n=USERS_LISTED)
    asked = st.query_params.get("user")
    if not listed and not asked:
        st.info("No partition is closed yet: run `liber ingest` and `liber seal`, and come back.")
        return None
    learnt = {row["user_id"]: f"{row['learnt']} of {row['partitions']} partitions learnt" for row in listed}
    options = list(learnt) if asked is None or asked in learnt else [asked, *learnt]
    user_id = st.selectbox(
        "User: pick one, or type an id",
        options,
        index=options.index(asked) if asked else 0,
        format_func=lambda user: f"{user} ({learnt[user]})" if user in learnt else user,
        accept_new_options=True,
    )
    if user_id:
        st.query_params["user"] = user_id
    return user_id


def _version(versions: list[Row]) -> str | None:
    if len(versions) < 2:
        return versions[0]["knowledge_version"] if versions else None
    names = {row["knowledge_version"]: f"{row['model']}, {words.day(row['created_at'])}" for row in versions}
    return st.selectbox("Texts of", list(names), format_func=lambda name: f"{names[name]} ({name[:12]})")


def _partition(row: Row) -> None:
    with st.container(border=True):
        st.markdown(
            f"**Partition {row['partition_no']}** · {words.period(row['started_at'], row['ended_at'])} · "
            f"{row['n_behaviors']} behaviours · closed by {row['reason']}"
        )
        if row["summary"] is None:
            st.badge("not learnt yet", icon=":material/hourglass_empty:", color="orange")
        else:
            st.markdown(f"**Interests** {words.plain(row['summary'])}")
            if row["shift"] is not None:
                st.markdown(f"**Shift since partition {row['partition_no'] - 1}** {words.plain(row['shift'])}")
            elif row["partition_no"] > 1:
                st.badge("shift not learnt yet", icon=":material/hourglass_empty:", color="orange")
            st.caption(
                words.plain(
                    f"{row['model']} · {row['summary_prompt']} · {row['shift_prompt']} · "
                    f"{row['tokens_in']:,} tokens in, {row['tokens_out']:,} out"
                )
            )
        items = row["items"] or []
        with st.expander(f"{len(items)} items, newest first"):
            st.markdown(
                "\n".join(f"- {words.plain(item)}" for item in items) or "Their items are not in the catalogue."
            )
