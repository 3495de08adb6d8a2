"""The interest timeline of one user: partitions, what was read from them, and what still waits."""

from html import escape

import numpy as np
import streamlit as st

from liber_tasks.dashboard import words
from liber_tasks.dashboard.data import Row, champion, explanation, rows
from liber_tasks.errors import InputError, LiberError
from liber_tasks.explain import Pull

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
    name = version["knowledge_version"] if version else None
    partitions = rows("timeline", user_id=user_id, knowledge_version=name)
    learnt = sum(row["summary"] is not None for row in partitions)
    _line(
        f"User <b>{_foreign(user_id)}</b> · {known[0]['behaviors']:,} behaviours · {len(partitions):,} partitions, "
        f"{learnt:,} learnt · {known[0]['cached']:,} behaviours in the cache of the next one"
    )
    if version:
        _made_with(version, partitions)
    if version and words.is_embedded(version["model"]):
        st.warning(
            "Texts of the packaged 135M model prove the wiring, not the value: a model this small invents and copies. "
            "Point `LIBER_LLM_URL` at a stronger one to learn from its texts.",
            icon=":material/experiment:",
        )
    if not partitions:
        st.info("No partition is closed yet: run `liber seal`, or wait for more behaviours.")
    pulls = _compared(user_id) if partitions else {}
    shares = _attention(user_id) if partitions else {}
    total = len(partitions)
    everything = total <= PARTITIONS_SHOWN or st.toggle(
        f"Show all {total} partitions, not the newest {PARTITIONS_SHOWN}"
    )
    for row in partitions if everything else partitions[:PARTITIONS_SHOWN]:
        _partition(row, version, pulls.get(row["partition_no"]), shares.get(row["partition_no"]))


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


def _version(versions: list[Row]) -> Row | None:
    if len(versions) < 2:
        return versions[0] if versions else None
    named = {row["knowledge_version"]: row for row in versions}
    name = st.selectbox(
        "Texts of", list(named), format_func=lambda name: f"{name}, begun {words.day(named[name]['created_at'])}"
    )
    return named[name]


def _made_with(version: Row, partitions: list[Row]) -> None:
    """What all texts shown have in common, and what they cost together."""
    texts = sum((row["summary"] is not None) + (row["shift"] is not None) for row in partitions)
    tokens_in, tokens_out, calls = (
        sum(row[field] for row in partitions) for field in ("tokens_in", "tokens_out", "calls")
    )
    _line(
        f"{texts:,} texts · {tokens_in:,} tokens in, {tokens_out:,} out · {calls:,} calls · "
        f"knowledge version <b>{_foreign(version['knowledge_version'])}</b>"
    )


def _compared(user_id: str) -> dict[int, Pull]:
    """What each partition says about an item that the reader may name."""
    st.session_state.setdefault("item", st.query_params.get("item", ""))
    asked = st.text_input("Which partitions speak for an item? Type its id", key="item")
    if not asked:
        st.query_params.pop("item", None)
        return {}
    st.query_params["item"] = asked
    try:
        found = explanation(user_id, asked)
    except InputError as error:
        st.warning(words.plain(str(error)))
        return {}
    _line(_foreign(found.sentence()))
    return {pull.partition_no: pull for pull in found.partitions}


def _attention(user_id: str) -> dict[int, float]:
    """Which share each partition has in what the champion makes of the user, where the reader asks."""
    if not st.toggle("Show what the champion attends to"):
        return {}
    try:
        model = champion()
        found = rows(
            "vectors",
            user_id=user_id,
            encoder_version=model.encoder_version,
            knowledge_version=model.knowledge_version,
        )
    except LiberError as error:
        st.warning(words.plain(str(error)))
        return {}
    of = f"encoder {model.encoder_version}, texts {model.knowledge_version}"
    if not found:
        st.warning(words.plain(f"This user has no vector that {model.name} reads ({of}): it knows of no partition."))
        return {}
    _line(
        _foreign(
            f"Attention: the share of each partition in the vector that {model.name} makes of this user; its "
            f"self-attention, averaged over the queries ({of})."
        )
    )
    shares = model.shares(np.array([row["vector"] for row in found], dtype=np.float32))
    return {row["partition_no"]: float(share) for row, share in zip(found, shares, strict=True)}


def _partition(row: Row, version: Row | None, pull: Pull | None, share: float | None) -> None:
    with st.container(border=True):
        st.markdown(
            f"**Partition {row['partition_no']}** · {words.period(row['started_at'], row['ended_at'])} · "
            f"{row['n_behaviors']} behaviours · closed by {row['reason']}"
        )
        if row["removed_at"] is not None:
            st.badge(f"removed by retention on {words.day(row['removed_at'])}", icon=":material/delete:", color="gray")
        elif version is None or row["summary"] is None:
            st.badge("not learnt yet", icon=":material/hourglass_empty:", color="orange")
        else:
            _text("Interests", row["summary"], row["summary_finish"])
            if row["shift"] is not None:
                _text(f"Shift since partition {row['partition_no'] - 1}", row["shift"], row["shift_finish"])
            elif row["partition_no"] > 1 and version["with_shift"]:
                st.badge("shift not learnt yet", icon=":material/hourglass_empty:", color="orange")
            _line(f"<small style='opacity: 0.7'>{_foreign(_origin(row, version))}</small>")
        if share is not None:
            _line(f"<b>Attention {words.share(share)}</b>")
        if pull is not None:
            _pull(pull)
        items = row["items"] or []
        with st.expander(f"{len(items)} items, newest first"):
            if items:
                _line(f"<ul>{''.join(f'<li>{_foreign(item)}</li>' for item in items)}</ul>")
            else:
                st.markdown("Their items are not in the catalogue.")


def _pull(pull: Pull) -> None:
    sides = (("shared with what was liked", pull.likes), ("with what was disliked", pull.dislikes))
    shared = [f"{of}: {', '.join(said)}" for of, said in sides if said]
    _line(f"<b>Pull {pull.pull:+.3f}</b> {_foreign(' · '.join(shared))}")


def _text(label: str, text: str, finish: str | None) -> None:
    _line(f"<b>{label}</b> {_foreign(text)}")
    if finish == "length":
        st.badge("cut at the token limit", icon=":material/content_cut:", color="orange")


def _origin(row: Row, version: Row) -> str:
    parts = [version["model"], version["summary_prompt"], version["shift_prompt"],
             f"{row['tokens_in']:,} tokens in, {row['tokens_out']:,} out"]  # fmt: skip
    if row["left_out"]:
        parts.append(f"the {row['left_out']:,} oldest behaviours left out, the prompt would not fit")
    return " · ".join(parts)


def _line(html: str) -> None:
    """HTML that wraps wherever it must; only `_foreign` makes text fit to be part of it."""
    st.html(f"<div style='overflow-wrap: anywhere; line-height: 1.6'>{html}</div>")


def _foreign(text: str) -> str:
    """Text of models, catalogues and users as HTML. As Markdown, however escaped, addresses would become links and
    names between colons icons."""
    return escape(text)
