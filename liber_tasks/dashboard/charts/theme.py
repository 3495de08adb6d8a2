"""What all charts share."""

import altair as alt
import pandas as pd

BLUE, ORANGE, VERMILION, SKY, GREY = "#0072B2", "#E69F00", "#D55E00", "#56B4E9", "#888888"
ROW = 30  # pixels of a row of words
LOOK = {  # SVG keeps words as words: they can be selected, read aloud and tested
    "embedOptions": {
        "renderer": "svg",
        "actions": {"export": True, "source": False, "compiled": False, "editor": False},
    }
}


def look(name: str) -> dict[str, object]:
    """The `usermeta` of a chart: how it is drawn, and the file its menu's "Save as PNG" writes."""
    return {"embedOptions": {**LOOK["embedOptions"], "downloadFileName": name}}


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
