"""`python -m liber_tasks.local COMMAND`: what the Makefile calls.

up | down | demo | url SERVICE | process NAME
backup [--keep N]     the cluster, MLflow's files and the secrets, into LIBER_BACKUPS; the stack goes on
restore [--to TIME]   the stopped stack as it was at a moment; without one, all that was archived
"""

import sys

from liber_tasks.config import VAR, load
from liber_tasks.errors import LiberError
from liber_tasks.local.environment import Stack


def main(arguments: list[str]) -> int:
    """Run one command; exit status 0, 1 (failure), 2 (bad input or usage) or 130 (Ctrl-C)."""
    try:
        stack = Stack(VAR.resolve(), load(local=False))
        match arguments:
            case ["process", name]:
                from liber_tasks.local.processes import run

                return run(name, stack)
            case ["up"]:
                from liber_tasks.local.show import bring_up, show_addresses

                bring_up(stack)
                show_addresses(stack)
            case ["down"]:
                from liber_tasks.local.stack import down

                print(f"Stopped {down(stack)} processes.")
            case ["url", service] if service in stack.urls:
                print(stack.urls[service])
            case ["demo"]:
                from liber_tasks.local.demo import demo

                demo(stack)
            case ["backup"] | ["backup", "--keep", _]:
                from liber_tasks.local.show import make_backup

                make_backup(stack, arguments[2:])
            case ["restore"] | ["restore", "--to", _]:
                from liber_tasks.local.show import bring_back

                bring_back(stack, arguments[2:])
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except LiberError as error:
        print(f"\n{error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
