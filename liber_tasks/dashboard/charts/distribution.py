"""How the users of each arm spread over a metric's values."""

from typing import Any

import altair as alt
import pandas as pd

from liber_tasks.dashboard.charts.theme import BLUE, ORANGE, VERMILION, framed, legend

ARMS = ["control", "treated"]


def distribution(rows: list[dict[str, Any]], cap: float | None, unit: str, of: str) -> alt.LayerChart | alt.FacetChart:
    """Share of users by value, a stepped line an arm; the cap as a dashed line.

    Args:
        rows: of `tables.bins`, not empty.
        cap: values above it are counted as it, where capped; None: no cap.
        unit: of the metric.
        of: what the chart is about, its title.
    """
    frame = pd.DataFrame(rows)
    # The last step needs an end.
    closing = frame.loc[frame.groupby("arm")["high"].idxmax()].assign(
        low=lambda each: each["high"]
    )  # the last step's end
    frame = pd.concat([frame, closing])
    x = alt.X(
        "low:Q",
        title=f"{unit}, logarithmic",
        scale=alt.Scale(type="log", domain=[frame["low"].min(), frame["high"].max()], nice=False),
        axis=alt.Axis(format="~s", tickCount=5, labelOverlap=True, grid=False),
    )
    steps = (
        alt.Chart(frame)
        .mark_line(interpolate="step-after", strokeWidth=2.5)
        .encode(
            x=x,
            y=alt.Y("share:Q", title="share of the arm's users", axis=alt.Axis(format=".1~%", tickCount=5)),
            color=alt.Color("arm:N", scale=alt.Scale(domain=ARMS, range=[ORANGE, BLUE]), legend=legend(ARMS, 2.5)),
            strokeDash=alt.StrokeDash(
                "arm:N", scale=alt.Scale(domain=ARMS, range=[[6, 3], [1, 0]]), legend=legend(ARMS, 2.5)
            ),
            tooltip=["arm", *(alt.Tooltip(f"{c}:Q", format=",.4~g") for c in ("low", "high")),
                     alt.Tooltip("share:Q", format=".2%")],
        )
    )  # fmt: skip
    layers = [steps]
    if cap is not None and frame["low"].min() < cap <= frame["high"].max():
        at = alt.Chart(pd.DataFrame({"at": [cap], "word": ["cap"]}))
        layers.append(at.mark_rule(strokeDash=[4, 4], strokeWidth=2, color=VERMILION).encode(x="at:Q"))
        layers.append(
            at.mark_text(align="right", dx=-6, dy=8, baseline="top", color=VERMILION, fontWeight="bold").encode(
                x="at:Q", y=alt.value(0), text="word"
            )
        )
    return alt.layer(*layers).properties(**framed(of, 240))
