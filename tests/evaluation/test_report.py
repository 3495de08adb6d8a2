"""Files of a report: valid, complete, and the same for the same numbers."""

import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from liber_tasks.errors import InputError
from liber_tasks.evaluation import pages
from liber_tasks.evaluation.plots import plot
from liber_tasks.evaluation.report import Report, grids, markdown
from tests.evaluation.results import curves, report, speeds

REPORTS = {"lifts": report(), "curves": curves(), "speeds": speeds()}
VOID = {"meta", "br", "img", "link", "hr"}


class Strict(HTMLParser):
    """Every tag that opens closes, in order; collects the cells of tables and what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tables: list[list[list[str]]] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self.tables[-1][-1].append("")
        self.loaded += [str(value) for name, value in attrs if name in ("src", "href") and not value.startswith("#")]  # type: ignore[union-attr]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [str(value) for name, value in attrs if name == "src"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data


def _parsed(page: str) -> Strict:
    found = Strict()
    found.feed(page)
    found.close()
    assert found.open == []
    return found


@pytest.mark.parametrize("made", REPORTS.values(), ids=REPORTS)
def test_the_html_page_is_valid_needs_nothing_besides_and_shows_every_table(made: Report) -> None:
    page = pages.html(made, plot(made))
    found = _parsed(page)
    assert found.loaded == []
    assert found.tables == [[list(grid.columns), *map(list, grid.lines)] for grid in grids(made)]
    assert page.count("<svg") == 1


@pytest.mark.parametrize("made", REPORTS.values(), ids=REPORTS)
def test_the_plot_is_valid_svg_with_its_words_as_text(made: Report) -> None:
    picture = plot(made)
    assert picture is not None
    root = ElementTree.fromstring(picture)
    words = " ".join(node.text or "" for node in root.iter("{http://www.w3.org/2000/svg}text"))
    assert "din" in words
    assert "base" in words or made.speeds
    assert plot(made) == picture


@pytest.mark.parametrize("made", REPORTS.values(), ids=REPORTS)
def test_every_line_of_a_markdown_table_has_all_columns(made: Report) -> None:
    lines = [line for line in markdown(made, "x.svg").splitlines() if line.startswith("|")]
    widths = [line.count("|") - 1 for line in lines]
    expected = [len(grid.columns) for grid in grids(made) for _ in range(len(grid.lines) + 2)]
    assert widths == expected


def test_what_others_named_cannot_break_out_of_the_page() -> None:
    page = pages.html(report(text="<b>din</b> & 'so', see `liber <train>`"), None)
    assert "<script>" not in page
    assert "&lt;b&gt;din&lt;/b&gt; &amp;" in page
    assert "<code>liber &lt;train&gt;</code>" in page
    _parsed(page)


def test_an_arm_that_was_not_learnt_says_so_in_its_row() -> None:
    for text in (markdown(report()), pages.html(report(), None)):
        assert "no_shift" in text
        assert "not learnt" in text


def test_a_pair_is_shown_once_with_all_rows_and_once_with_those_that_have_a_vector() -> None:
    titles = {grid.title: grid.lines for grid in grids(report())}
    assert list(titles) == ["All test rows", "Further pairs, all test rows", "On test rows that have a vector"]
    assert [line[:3] for line in titles["Further pairs, all test rows"]] == [("din", "liber", "random")]
    assert titles["On test rows that have a vector"] == (
        ("din", "liber", "base", "+0.0200 [+0.0050, +0.0300]", "0.200"),
    )
    assert titles["All test rows"][1][5:7] == ("+0.0100 [+0.0020, +0.0200]", "< .001")


def test_json_holds_every_number() -> None:
    found = json.loads(report().to_json())
    assert [row["auc"] for row in found["rows"]] == [0.75, 0.76, None]
    assert found["comparisons"][0]["with_vector"]["low"] == 0.005
    assert found["protocol"]["digest"] == "a" * 64
    assert [row["ratio"] for row in json.loads(speeds().to_json())["rows"]] == [1.04] * 4


def test_without_a_lift_there_is_no_plot_and_no_link_to_one() -> None:
    bare = Report("table2", "A title", report().protocol, {}, report().rows[:1])
    assert sorted(pages.files(bare)) == ["table2.html", "table2.json", "table2.md"]
    assert "svg" not in pages.files(bare)["table2.md"].decode()


def test_files_are_written_into_a_folder_that_may_not_exist_yet(tmp_path: Path) -> None:
    written = pages.write(tmp_path / "a" / "b", pages.files(report()))
    assert [Path(path).suffix for path in written] == [".json", ".md", ".html", ".svg"]
    assert all(Path(path).stat().st_size for path in written)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="--out"):
        pages.write(tmp_path / "file" / "c", {})
