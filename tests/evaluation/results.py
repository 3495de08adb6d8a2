"""Results made up for tests of what is said and drawn of them."""

from liber_tasks.evaluation.compare import Comparison, Lift, Row
from liber_tasks.evaluation.report import Protocol, Report
from liber_tasks.evaluation.speed import Speed

PROTOCOL = Protocol(
    "A rating above 3 is positive.", "2024-01-01T00:00:00+00:00", 900, 100, 250, 20, 180, 15, 5, 2000, "a" * 64, None,
    {"din": {"learning_rate": 0.001}},
)  # fmt: skip


def comparison(
    variant: str = "liber", against: str = "base", lift: float = 0.01, low: float | None = 0.002,
    high: float | None = 0.02, backbone: str = "din", with_vector: Lift | None = None,
) -> Comparison:  # fmt: skip
    return Comparison(backbone, variant, against, lift, low, high, 0.0004, 0.013, 0.002, 0.01, with_vector)


def report(study: str = "table2", *, text: str = "din: nothing is claimed.", run_id: str | None = None) -> Report:
    """A base, an arm with a lift, and one that was not learnt."""
    rows = (
        Row("din", "base", 0.75, 0.001, 0.57, 0.002, 5),
        Row("din", "liber", 0.76, 0.002, 0.56, 0.001, 5, "base", 0.01, 0.002, 0.02, 0.0004, 0.013, 0.002, 0.01),
        Row("din", "no_shift", None, None, None, None, 5, note="not learnt: run liber learn"),
    )
    pairs = (comparison(with_vector=Lift(0.02, 0.005, 0.03, 0.2)), comparison("liber", "random", -0.001, -0.01, 0.009))
    return Report(study, "A title", PROTOCOL, {"full": {"model": "llm <script>", "knowledge_version": "k",
                  "encoder_version": "e"}}, rows, pairs, (text,), run_id=run_id)  # fmt: skip


def curves() -> Report:
    """Figure 1's rows."""
    rows = tuple(
        Row("din", f"{arm}_{length}", 0.7 + 0.01 * place, 0.002, 0.5, 0.001, 5)
        for arm in ("base", "liber")
        for place, length in enumerate((5, 10, 20, 50, 100))
    )
    return Report("figure1", "Figure 1", PROTOCOL, {}, rows)


def speeds() -> Report:
    """Table 7's rows."""
    found = tuple(
        Speed(backbone, "liber", what, 10.0, 10.4, 1.04, 1.01, 1.06)
        for backbone in ("din", "deepfm")
        for what in ("model", "model and batch")
    )  # fmt: skip
    return Report("table7", "Table 7", PROTOCOL, {}, (), speeds=found)
