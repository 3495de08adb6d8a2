"""How a readout came about: its calibration, models, formulas and SQL; and taking it along."""

import json
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from liber_tasks.config import ROOT
from liber_tasks.dashboard import filters, tables, verdicts, words
from liber_tasks.dashboard.data import Row, rows
from liber_tasks.experiment.record import Readout

SQL = ROOT / "sql"
_TOLD_APART = ("version", "libraries", "sql", "days", "pre_period")  # of `Readout.method`; the rest are formulas


def calibration(name: str) -> None:
    """Draw how often the readout errs where there is nothing to find."""
    st.subheader("Calibration")
    found = rows("calibration", name=name)
    if not found:
        st.caption(
            "Not calibrated yet: how often this readout finds a lift between two halves of the same arm is unknown."
        )
        return
    result = found[0]["result"]
    st.markdown(
        words.plain(
            f"{result['splits']:,} random splits of {result['users']:,} users into two arms without any difference "
            f"(seed {result['seed']}), of {words.day(found[0]['created_at'])}: {result['verdict']}."
        )
    )
    st.table(
        pd.DataFrame(
            {
                "Metric": words.plain(f"{words.metric(row['metric'])}, {words.method(row['method'])}"),
                "Found a lift": words.share(row["rate"], 2),
                "95 % interval": f"{words.share(row['low'], 2)} to {words.share(row['high'], 2)}",
            }
            for row in result["rates"]
        ).set_index("Metric")
    )
    st.caption("5 % is right: a readout that finds a lift more often there finds too many elsewhere, too.")


def models(readout: Readout) -> None:
    """Draw which model served which arm."""
    if readout.models:
        st.subheader("Models compared")
        st.table(
            pd.DataFrame(
                {"Arm": words.ARM_NAMES.get(arm, arm), "Model": words.plain(address)}
                for arm, address in sorted(readout.models.items())
            ).set_index("Arm")
        )


def method(readout: Readout) -> None:
    """Draw how each number was made."""
    with st.expander("How these numbers were made: formulas and SQL"):
        for one in verdicts.ordered(readout):
            if one.formula:
                st.markdown(f"**{words.metric(one.name)}** of a user: {words.plain(one.formula)}")
        of = readout.method
        for name, text in of.items():
            if name not in _TOLD_APART:
                st.markdown(f"**{words.plain(words.sentence(name.replace('_', ' ')))}** {words.plain(_said(text))}")
        days = (f"**{label}** {words.plain(' to '.join(of[name]))} (the end is not read)"
                for name, label in (("days", "Days"), ("pre_period", "Pre-period")) if name in of)  # fmt: skip
        libraries = ", ".join(f"{name} {version}" for name, version in of.get("libraries", {}).items())
        made = f"**Made by** method {of.get('version', '?')}" + (f", {words.plain(libraries)}" if libraries else "")
        st.markdown("  \n".join([*days, made, f"**Read from** {readout.input_sha256[:16]} (digest of all rows read)"]))
        for file in _files(of.get("sql", [])):
            st.markdown(f"`{file.relative_to(ROOT)}` as installed here")
            st.code(file.read_text(encoding="utf-8"), language="sql", wrap_lines=True)


def _said(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _files(patterns: list[str]) -> list[Path]:
    """The SQL files a record names; nothing outside of `sql/`."""
    found = (file for pattern in patterns if not Path(pattern).is_absolute() for file in sorted(ROOT.glob(pattern)))
    return [file for file in found if file.suffix == ".sql" and file.resolve().is_relative_to(SQL)]


def downloads(readout: Readout, result: Row) -> None:
    """Draw what a reader may take along."""
    st.subheader("Take it along")
    with st.container(horizontal=True):
        st.download_button(
            "Table as CSV", pd.DataFrame(tables.estimates(readout)).to_csv(index=False), f"{readout.experiment}.csv",
            "text/csv", on_click="ignore", icon=":material/table:",
        )  # fmt: skip
        st.download_button(
            "Record as JSON", json.dumps(result, indent=1, ensure_ascii=False), f"{readout.experiment}.json",
            "application/json", on_click="ignore", icon=":material/data_object:",
        )  # fmt: skip
    st.caption("Charts as PNG: the button that appears above each when it is pointed at. This view again:")
    st.code(filters.address(), language=None, wrap_lines=True)
