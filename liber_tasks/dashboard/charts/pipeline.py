"""The pipeline's stages and its throughput."""

from datetime import datetime
from typing import Any

import altair as alt
import pandas as pd

from liber_tasks.dashboard.charts.theme import BLUE, ORANGE, ROW, SVG, VERMILION
from liber_tasks.status.state import Stage


def stages(rows: list[Stage]) -> alt.Chart:
    """How far each stage is: shares done, waiting and set aside.

    Args:
        rows: in the order of the pipeline.
    """
    names = {"done": "done", "pending": "waiting", "failed": "set aside"}
    frame = pd.DataFrame(
        {"stage": row.stage, "state": word, "n": getattr(row, field), "order": place}
        for row in rows
        for place, (field, word) in enumerate(names.items())
    )
    return (
        alt.Chart(frame)
        .mark_bar(size=22)
        .encode(
            y=alt.Y("stage:N", sort=[row.stage for row in rows], title=None, axis=alt.Axis(ticks=False)),
            x=alt.X(
                "n:Q", stack="normalize", title="share of the stage's work", axis=alt.Axis(format="%", tickCount=5)
            ),
            color=alt.Color(
                "state:N",
                sort=list(names.values()),
                scale=alt.Scale(domain=list(names.values()), range=[BLUE, ORANGE, VERMILION]),
                legend=alt.Legend(title=None, orient="top"),
            ),
            order="order:Q",
            tooltip=["stage", "state", alt.Tooltip("n:Q", format=",")],
        )
        .properties(height=alt.Step(ROW + 6), usermeta=SVG)
    )


def throughput(rows: list[dict[str, Any]], unit: str, since: datetime, until: datetime) -> alt.Chart:
    """Work a stage got done in each hour or day.

    Args:
        rows: `at` (start of the hour or day) and `n`; at least one.
        unit: "hour" or "day".
        since, until: ends of the time shown, with time zone.
    """
    frame = pd.DataFrame(rows)[["at", "n"]]
    frame["at"] = pd.to_datetime(frame["at"], utc=True)
    frame["end"] = frame["at"] + pd.Timedelta(1, "h" if unit == "hour" else "D")
    for column in ("at", "end"):
        frame[column] = frame[column].dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    ends = [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (since, until)]
    return (
        alt.Chart(frame)
        .mark_rect(color=BLUE, clip=True)
        .encode(
            x=alt.X(
                "at:T",
                scale=alt.Scale(type="utc", domain=ends, nice=False),
                title=None,
                axis=alt.Axis(format="%-d %b %H:%M" if unit == "hour" else "%-d %b", tickCount=5, grid=False),
            ),
            x2="end:T",
            y=alt.Y("n:Q", title=f"per {unit}", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=4, format="~s")),
            y2=alt.datum(0),
            tooltip=[alt.Tooltip("at:T", format="%-d %b %H:%M"), alt.Tooltip("n:Q", format=",")],
        )
        .properties(height=120, usermeta=SVG)
    )
