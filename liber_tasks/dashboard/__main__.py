"""`python -m liber_tasks.dashboard --port P`: the dashboard on the loopback interface, without telemetry."""

import argparse
import os
import sys
from pathlib import Path

from liber_tasks.config import ROOT

FLAGS = {
    "server.headless": "true",
    "server.address": "127.0.0.1",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#56B4E9",
}


def command(port: int) -> list[str]:
    """The Streamlit server as a command; every setting is a flag, so that no file in the user's home changes it."""
    flags = [f"--{name}={value}" for name, value in {**FLAGS, "server.port": str(port)}.items()]
    return [sys.executable, "-m", "streamlit", "run", *flags, str(Path(__file__).with_name("app.py"))]


def main() -> None:
    """Become the Streamlit server."""
    parser = argparse.ArgumentParser(prog="python -m liber_tasks.dashboard", description=__doc__)
    parser.add_argument("--port", type=int, default=8501)
    port = parser.parse_args().port
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    os.execve(sys.executable, command(port), {**os.environ, "PYTHONPATH": path})


if __name__ == "__main__":
    main()
