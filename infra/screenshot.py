"""Picture of a web page by the system's Chromium: `python infra/screenshot.py URL OUT.png --wait-for TEXT`."""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Error, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = ("--headless", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync")  # fmt: skip


@contextmanager
def chromium() -> Iterator[Browser]:
    """The system's Chromium, headless, for as long as the block runs.

    Raises:
        FileNotFoundError: there is none on the PATH.
    """
    executable = next(filter(None, map(shutil.which, NAMES)), None)
    if executable is None:
        raise FileNotFoundError(f"No Chromium on the PATH (looked for {', '.join(NAMES)}): install one.")
    root = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium's sandbox refuses to run as root
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=[*FLAGS, *root])
        try:
            yield browser
        finally:
            browser.close()


def shoot(url: str, out: Path, width: int = 1280, height: int = 900, wait_for: str | None = None) -> None:
    """Write a PNG of the page at `url`.

    Args:
        url: page to open.
        out: PNG to write.
        width, height: of the window, in CSS pixels.
        wait_for: text that must be visible first; without it, the page's load event is enough.

    Raises:
        playwright Error: the page does not load, or the text does not show within 60 seconds.
    """
    with chromium() as browser:
        page = browser.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
        page.goto(url)
        if wait_for:
            page.get_by_text(wait_for).first.wait_for(timeout=60_000)
            page.wait_for_timeout(1_500)  # charts and fonts come after the text
        out.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=str(out))


def main() -> int:
    """Command line; 0, or 1 with one sentence on stderr."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=1280)
    parser.add_argument("--height", type=int, default=900)
    parser.add_argument("--wait-for", metavar="TEXT")
    options = parser.parse_args()
    try:
        shoot(options.url, options.out, options.width, options.height, options.wait_for)
    except (Error, FileNotFoundError) as error:
        print(f"No picture of {options.url}: {str(error).splitlines()[0]}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
