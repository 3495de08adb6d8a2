"""Lifts over time: day by day, and by days since exposure."""

from typing import Any

import altair as alt
import pandas as pd

from liber_tasks.dashboard.charts.theme import BLUE, GREY, SKY, framed, legend, lift_axis, rule_at

LINE, PLANNED, ANYTIME = "lift so far", "planned looks", "any look"
HEIGHT = 260
LIFT = lift_axis("relative lift, 95 % bands")
BAR = "M-.6,-1H.6V-.75H.15V.75H.6V1H-.6V.75H-.15V-.75H-.6Z"  # an error bar, for the legend


def daily(rows: list[dict[str, Any]], of: str) -> alt.LayerChart | alt.FacetChart:
    """The lift of the days so far, with the band of the planned looks and the confidence sequence.

    Args:
        rows: of `tables.looks`, at least one with a lift.
        of: what the chart is about, its title.
    """
    frame = pd.DataFrame(rows).dropna(subset=["lift"])
    frame["day"] = pd.to_datetime(frame["until"]) - pd.Timedelta(days=1)  # the last day read
    scale = alt.Scale(domain=_visible(frame), nice=False)
    shown = [
        LINE,
        *(word for word, of in ((PLANNED, "planned_low"), (ANYTIME, "anytime_low")) if frame[of].notna().any()),
    ]
    colours = alt.Scale(domain=[LINE, PLANNED, ANYTIME], range=[BLUE, BLUE, SKY])
    shapes = alt.Scale(domain=[LINE, PLANNED, ANYTIME], range=["circle", BAR, "square"])
    key = legend(shown)
    ends = [(moment + pd.Timedelta(side * 12, "h")).isoformat() for moment, side in
            ((frame["day"].min(), -1), (frame["day"].max(), 1))]  # fmt: skip
    ticks = alt.Axis(format="%-d %b", tickCount={"interval": "day", "step": _step(frame)}, grid=False)
    x = alt.X("day:T", title=None, axis=ticks, scale=alt.Scale(domain=ends, nice=False))
    base = alt.Chart(frame).encode(x=x)
    tooltip = [
        alt.Tooltip("day:T", format="%-d %b %Y"),
        *(alt.Tooltip(f"{c}:Q", format=",") for c in ("control", "treatment")),
        *(
            alt.Tooltip(f"{c}:Q", format="+.2%")
            for c in ("lift", "planned_low", "planned_high", "anytime_low", "anytime_high")
        ),
    ]
    area = base.mark_area(color=SKY, opacity=0.25, clip=True).encode(
        y=alt.Y("anytime_low:Q", axis=LIFT, scale=scale), y2="anytime_high:Q"
    )
    bars = base.transform_filter("isValid(datum.planned_low)")
    planned = bars.mark_errorbar(ticks={"size": 12}, thickness=2.5, color=BLUE, clip=True).encode(
        y=alt.Y("planned_low:Q", axis=LIFT, scale=scale), y2="planned_high:Q"
    )
    line = base.mark_line(color=BLUE, strokeWidth=2, clip=True).encode(y=alt.Y("lift:Q", axis=LIFT, scale=scale))
    point = (
        base.transform_calculate(kind=f"'{LINE}'")
        .mark_point(filled=True, size=70, opacity=1, clip=True)
        .encode(
            y=alt.Y("lift:Q", axis=LIFT, scale=scale),
            color=alt.Color("kind:N", scale=colours, legend=key),
            shape=alt.Shape("kind:N", scale=shapes, legend=key),
            tooltip=tooltip,
        )
    )
    return alt.layer(area, rule_at(0, "y"), planned, line, point).properties(**framed(of, HEIGHT))


def _visible(frame: pd.DataFrame) -> tuple[float, float]:
    """Ends of the axis: the newest bands whole, the first days' wide ones cut."""
    kept = frame[["lift", "planned_low", "planned_high"]].tail(len(frame) - len(frame) // 4).stack()
    newest = frame[["anytime_low", "anytime_high"]].dropna().tail(1).stack()
    values = [0.0, *kept, *newest]
    low, high = min(values), max(values)
    room = 0.15 * ((high - low) or 0.01)
    return low - room, high + room


def _step(frame: pd.DataFrame) -> int:
    """Days between ticks: about six ticks fit a phone."""
    return max(1, -(-len(frame) // 6))


def novelty(rows: list[dict[str, Any]], of: str) -> alt.LayerChart | alt.FacetChart:
    """The lift by days since exposure.

    Args:
        rows: of `tables.ages`, at least one with a lift.
        of: what the chart is about, its title.
    """
    frame = pd.DataFrame(rows).dropna(subset=["lift"])
    x = alt.X(
        "day:Q",
        title="days since the first exposure",
        axis=alt.Axis(tickMinStep=1, format="d", tickCount=min(len(frame), 8), grid=False),
        scale=alt.Scale(padding=12, nice=False),
    )
    y = lift_axis("relative lift, 95 % interval")
    base = alt.Chart(frame).encode(x=x)
    tooltip = [
        "day:Q",
        *(alt.Tooltip(f"{c}:Q", format=",") for c in ("control", "treatment")),
        *(alt.Tooltip(f"{c}:Q", format="+.2%") for c in ("lift", "lift_low", "lift_high")),
    ]
    bars = base.mark_rule(strokeWidth=2.5, color=GREY).encode(y=alt.Y("lift_low:Q", axis=y), y2="lift_high:Q")
    points = base.mark_point(filled=True, size=80, opacity=1, color=BLUE).encode(
        y=alt.Y("lift:Q", axis=y), tooltip=tooltip
    )
    return alt.layer(rule_at(0, "y"), bars, points).properties(**framed(of, HEIGHT))
