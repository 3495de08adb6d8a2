"""`python -m tests.bench NAME`: progress on stderr, one JSON object as the last line on stdout."""

import argparse
import importlib
import json
import os
import platform
import sys
from pathlib import Path

NAMES = sorted(file.stem for file in Path(__file__).parent.glob("[a-z]*.py"))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    name = parser.parse_args().name
    ratios, figures = importlib.import_module(f"tests.bench.{name}").measure()
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()}
    print(json.dumps({"bench": name, "ratios": ratios, "figures": figures, "machine": machine}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
