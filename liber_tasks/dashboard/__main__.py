"""`python -m liber_tasks.dashboard --port P`: the dashboard, on the loopback interface unless told otherwise, without
telemetry."""

import argparse
import os
import sys
from pathlib import Path

from liber_tasks.config import ROOT, Settings, settings
from liber_tasks.dashboard.access import check
from liber_tasks.errors import LiberError

FLAGS = {
    "server.headless": "true",
    "server.fileWatcherType": "none",
    "browser.gatherUsageStats": "false",
    "client.toolbarMode": "minimal",
    "client.showErrorDetails": "none",
    "client.showErrorLinks": "false",
    "theme.light.primaryColor": "#0072B2",
    "theme.dark.primaryColor": "#56B4E9",
}


def command(port: int, chosen: Settings) -> list[str]:
    """The Streamlit server as a command; every setting is a flag, so that no file in the user's home changes it.

    Raises:
        InputError: strangers could read; see `access.check`.
    """
    check(chosen)
    own = {"server.port": str(port), "server.address": chosen.dashboard_address}
    if chosen.dashboard_auth is not None:
        own["secrets.files"] = str(chosen.dashboard_auth.resolve())
    flags = [f"--{name}={value}" for name, value in {**FLAGS, **own}.items()]
    return [sys.executable, "-m", "streamlit", "run", *flags, str(Path(__file__).with_name("app.py"))]


def main() -> None:
    """Become the Streamlit server."""
    parser = argparse.ArgumentParser(prog="python -m liber_tasks.dashboard", description=__doc__)
    parser.add_argument("--port", type=int, default=8501)
    port = parser.parse_args().port
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    try:
        server = command(port, settings())
    except LiberError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    os.execve(sys.executable, server, {**os.environ, "PYTHONPATH": path})


if __name__ == "__main__":
    main()
