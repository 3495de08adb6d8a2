"""What all charts share."""

from typing import Any

import altair as alt
import pandas as pd

BLUE, ORANGE, VERMILION, SKY, GREY = "#0072B2", "#E69F00", "#D55E00", "#56B4E9", "#888888"
ROW = 30  # pixels of a row of words
SVG = {"embedOptions": {"renderer": "svg"}}  # words stay words: they can be selected, read aloud and tested


def framed(of: str, height: int | alt.Step) -> dict[str, Any]:
    """Properties of every chart of a readout: drawn as SVG, with a title, which a picture of it needs.

    Args:
        of: what the chart is about.
        height: in pixels, or a step for each row.
    """
    return {"height": height, "usermeta": SVG, "title": _title(of)}


def _title(text: str) -> alt.Title:
    return alt.Title(text, anchor="start", fontSize=12, fontWeight="normal", limit=340, offset=10)


def rule_at(value: float, axis: str, colour: str = GREY) -> alt.Chart:
    """A dashed line across the chart at a value of the `x` or `y` axis."""
    data = alt.Chart(pd.DataFrame({"at": [value]})).mark_rule(strokeDash=[4, 4], color=colour)
    return data.encode(x="at:Q") if axis == "x" else data.encode(y="at:Q")


def legend(shown: list[str], stroke: float = 0) -> alt.Legend:
    """A legend above the chart, narrow enough for a phone; `stroke`: width of its symbols' lines, 0 for filled ones."""
    return alt.Legend(
        title=None, orient="top", values=shown, symbolStrokeWidth=stroke, symbolOpacity=1, labelLimit=300, columns=2
    )


def lift_axis(title: str) -> alt.Axis:
    """An axis of relative changes: signed per cents, 0 without a sign."""
    return alt.Axis(
        labelExpr="datum.value == 0 ? '0%' : format(datum.value, '+.1~%')", title=title, tickCount=5, labelFlush=False
    )
