"""Charts. Colours are Okabe and Ito's, distinct for colour-blind readers; every colour is also said in words."""

from typing import Any

import altair as alt
import pandas as pd

BLUE, ORANGE, VERMILION, GREY = "#0072B2", "#E69F00", "#D55E00", "#888888"
ROW = 36  # pixels; Vega drops labels of rows lower than 30
# SVG keeps words as words: they can be selected, read aloud and tested.
SVG = {"embedOptions": {"renderer": "svg"}}


def forest(rows: list[dict[str, Any]]) -> alt.LayerChart | alt.FacetChart:
    """Relative lifts with their intervals, one row a metric and estimator; planted lifts as diamonds.

    Args:
        rows: of `words.table`, at least one with a lift.
    """
    frame = pd.DataFrame(rows).dropna(subset=["lift"])
    frame["label"] = frame["metric"] + ", " + frame["estimator"]
    colours = alt.Scale(domain=["raw", "CUPED", "planted"], range=[GREY, BLUE, VERMILION])
    shapes = alt.Scale(domain=["raw", "CUPED", "planted"], range=["circle", "circle", "diamond"])
    shown = ["raw", "CUPED"] + (["planted"] if frame["planted"].notna().any() else [])
    legend = alt.Legend(title=None, orient="top", values=shown, symbolStrokeWidth=0, symbolOpacity=1)
    y = alt.Y(
        "label:N", sort=list(frame["label"]), title=None, axis=alt.Axis(labelLimit=200, ticks=False, labelFlush=False)
    )
    x_axis = alt.Axis(format="+.0%", title="relative lift, 95 % interval", tickCount=6, labelFlush=False)
    base = alt.Chart(frame)
    tooltip = [
        "metric",
        "estimator",
        *(alt.Tooltip(f"{c}:Q", format="+.2%") for c in ("lift", "lift_low", "lift_high")),
    ]
    zero = alt.Chart(pd.DataFrame({"x": [0.0]})).mark_rule(strokeDash=[4, 4], color=GREY).encode(x="x:Q")
    colour = alt.Color("estimator:N", scale=colours, legend=legend)
    shape = alt.Shape("estimator:N", scale=shapes, legend=legend)
    interval = base.mark_rule(strokeWidth=3).encode(
        x=alt.X("lift_low:Q", axis=x_axis), x2="lift_high:Q", y=y, color=alt.Color("estimator:N", scale=colours)
    )
    point = base.mark_point(size=110, filled=True, opacity=1).encode(
        x="lift:Q", y=y, color=colour, shape=shape, tooltip=tooltip
    )
    layers = [zero, interval, point]
    if "planted" in shown:
        planted = alt.Chart(frame.assign(estimator="planted"))
        layers.append(
            planted.mark_point(size=90, filled=True, opacity=1, yOffset=-11).encode(
                x="planted:Q",
                y=y,
                color=colour,
                shape=shape,
                tooltip=["metric", alt.Tooltip("planted:Q", format="+.2%")],
            )
        )
    return alt.layer(*layers).properties(height=alt.Step(ROW), usermeta=SVG)


def stages(rows: list[dict[str, Any]]) -> alt.Chart:
    """How far each stage is: shares done, waiting and set aside.

    Args:
        rows: of liber.pipeline_status, in the order of the pipeline.
    """
    names = {"done": "done", "pending": "waiting", "failed": "set aside"}
    frame = pd.DataFrame(
        {"stage": row["stage"], "state": word, "n": row[field], "order": place}
        for row in rows
        for place, (field, word) in enumerate(names.items())
    )
    return (
        alt.Chart(frame)
        .mark_bar(size=22)
        .encode(
            y=alt.Y("stage:N", sort=[row["stage"] for row in rows], title=None, axis=alt.Axis(ticks=False)),
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
        .properties(height=alt.Step(ROW), usermeta=SVG)
    )
