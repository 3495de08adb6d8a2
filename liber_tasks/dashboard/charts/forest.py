"""Lifts with their intervals, one row each."""

from typing import Any

import altair as alt
import pandas as pd

from liber_tasks.dashboard.charts.theme import BLUE, GREY, ORANGE, ROW, VERMILION, framed, legend, lift_axis, rule_at

KINDS = {"decides": BLUE, "other methods": GREY, "planted": VERMILION, "may lose this much": ORANGE}
SHAPES = {"decides": "circle", "other methods": "circle", "planted": "diamond", "may lose this much": "triangle-down"}
BETWEEN = "|"  # a row's id is metric, this, method; a heading's is the metric alone
WIDE = alt.Scale(padding=10)  # pixels beside the widest interval
LIFT = lift_axis("relative lift, 95 % interval")


def forest(rows: list[dict[str, Any]], of: str) -> alt.LayerChart | alt.FacetChart:
    """Lifts by metric and method: the method that decides in blue, the others pale; planted lifts as diamonds.

    Args:
        rows: of `tables.estimates`, at least one with a lift.
        of: what the chart is about, its title.
    """
    frame = pd.DataFrame(rows).dropna(subset=["lift"])
    frame["kind"] = ["decides" if decides else "other methods" for decides in frame["decides"]]
    frame["row"] = frame["metric"] + BETWEEN + frame["method"]
    heads = frame.drop_duplicates("metric")
    order = [row for metric in heads["metric"] for row in (metric, *frame.loc[frame["metric"] == metric, "row"])]
    y = alt.Y(
        "row:N",
        sort=order,
        scale=alt.Scale(domain=order),
        title=None,
        axis=alt.Axis(
            ticks=False,
            labelFlush=False,
            labelLimit=180,
            labelOverlap=False,
            labelExpr=f"slice(datum.label, indexof(datum.label, '{BETWEEN}') + 1)",
            labelFontWeight=alt.expr(f"indexof(datum.label, '{BETWEEN}') < 0 ? 'bold' : 'normal'"),
        ),
    )
    marked = [
        heads[["metric", column]]
        .dropna()
        .rename(columns={column: "at"})
        .assign(kind=kind, row=lambda each: each["metric"])
        for column, kind in (("planted", "planted"), ("margin", "may lose this much"))
    ]
    shown = [kind for kind in KINDS if kind in {*frame["kind"], *(kind for marks in marked for kind in marks["kind"])}]
    colour = alt.Color("kind:N", scale=alt.Scale(domain=[*KINDS], range=[*KINDS.values()]), legend=legend(shown))
    shape = alt.Shape("kind:N", scale=alt.Scale(domain=[*SHAPES], range=[*SHAPES.values()]), legend=legend(shown))
    pale = alt.condition("datum.kind == 'decides'", alt.value(1), alt.value(0.5))
    base = alt.Chart(frame).encode(y=y, color=colour)
    bounds = [alt.Tooltip(f"{c}:Q", format="+.2%") for c in ("lift", "lift_low", "lift_high")]
    interval = base.mark_rule().encode(
        x=alt.X("lift_low:Q", axis=LIFT, scale=WIDE),
        x2="lift_high:Q",
        opacity=pale,
        size=alt.condition("datum.kind == 'decides'", alt.value(4), alt.value(2)),
    )
    point = base.mark_point(filled=True).encode(
        x="lift:Q",
        shape=shape,
        opacity=pale,
        size=alt.condition("datum.kind == 'decides'", alt.value(120), alt.value(60)),
        tooltip=["metric", "method", *bounds],
    )
    layers = [rule_at(0, "x"), interval, point]
    for marks in marked:
        if len(marks):
            mark = alt.Chart(marks).mark_point(size=90, filled=True, opacity=1)
            tooltip = ["metric", "kind", alt.Tooltip("at:Q", format="+.2%")]
            layers.append(mark.encode(x="at:Q", y=y, color=colour, shape=shape, tooltip=tooltip))
    return alt.layer(*layers).properties(**framed(of, alt.Step(ROW)))


def segments(rows: list[dict[str, Any]], of: str) -> alt.LayerChart | alt.FacetChart:
    """Lifts of a dimension's values, in the order of the rows.

    Args:
        rows: of `tables.segments`, at least one with a lift.
        of: what the chart is about, its title.
    """
    frame = pd.DataFrame(rows).dropna(subset=["lift"])
    y = alt.Y(
        "value:N",
        sort=[*frame["value"]],
        title=None,
        axis=alt.Axis(ticks=False, labelFlush=False, labelLimit=140, labelOverlap=False),
    )
    base = alt.Chart(frame).encode(y=y)
    bounds = [alt.Tooltip(f"{c}:Q", format="+.2%") for c in ("lift", "lift_low", "lift_high")]
    interval = base.mark_rule(strokeWidth=3, color=BLUE).encode(
        x=alt.X("lift_low:Q", axis=LIFT, scale=WIDE), x2="lift_high:Q"
    )
    point = base.mark_point(filled=True, size=100, opacity=1, color=BLUE).encode(
        x="lift:Q", tooltip=["value", alt.Tooltip("users:Q", format=","), *bounds]
    )
    return alt.layer(rule_at(0, "x"), interval, point).properties(**framed(of, alt.Step(ROW)))
