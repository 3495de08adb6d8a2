"""`python -m tests.bench NAME`: progress on stderr, one JSON object as the last line on stdout."""

import argparse
import importlib
import json
import os
import platform
import sys

NAMES = ("calls", "capacity", "chain", "client", "dagimport", "drift", "encode", "erase", "incremental", "inference",
         "ingest", "memory", "pages", "planted", "readout", "scale", "seal", "serving", "soak", "train",
         "vectors")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("name", choices=NAMES)
    parser.add_argument("--size", type=int, help="of the data, where the benchmark takes one")
    parser.add_argument("--minutes", type=float, help="of the soak")
    given = vars(parser.parse_args())
    name = given.pop("name")
    options = {option: value for option, value in given.items() if value is not None}
    ratios, figures = importlib.import_module(f"tests.bench.{name}").measure(**options)
    machine = {"cores": os.cpu_count(), "processor": platform.machine(), "python": platform.python_version()}
    print(json.dumps({"bench": name, "ratios": ratios, "figures": figures, "machine": machine}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
