"""The report's files: JSON, Markdown, one HTML page that needs nothing besides, and the plot."""

import re
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from liber_tasks.errors import InputError
from liber_tasks.evaluation.plots import plot
from liber_tasks.evaluation.report import Report, caption, grids, markdown

_TEMPLATES = Path(__file__).parent / "templates"


def files(report: Report) -> dict[str, bytes]:
    """Contents by file name."""
    picture = plot(report)
    found = {
        f"{report.study}.json": report.to_json().encode(),
        f"{report.study}.md": markdown(report, f"{report.study}.svg" if picture else None).encode(),
        f"{report.study}.html": html(report, picture).encode(),
    }
    return found | ({f"{report.study}.svg": picture} if picture else {})


def html(report: Report, picture: bytes | None) -> str:
    """The page; `picture` is an SVG."""
    page = Environment(loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined)
    page.filters["code"] = _code
    inline = None
    if picture is not None:
        text = picture.decode()
        inline = Markup(text[text.index("<svg") :])  # our own drawing; its texts are escaped by matplotlib
    return page.get_template("report.html").render(
        title=report.title, verdict=report.verdict, grids=grids(report), picture=inline, caption=caption(report)
    )


def _code(line: str) -> Markup:
    """What stands between backticks, as HTML has it."""
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(line))))


def write(folder: Path, contents: dict[str, bytes]) -> tuple[str, ...]:
    """Write files into a folder, made if it is not there; their paths.

    Raises:
        InputError: the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
    except OSError as error:
        raise InputError(f"--out {folder} cannot be written to: {error.strerror or error}.") from None
    return tuple(str(folder / name) for name in contents)
