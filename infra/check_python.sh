#!/usr/bin/env bash
# Python 3.11 with venv, or one sentence that says what is missing.
set -eu
python=${1:-}
if [ -z "$python" ]; then
    echo "No Python found: install Python 3.11 or run make PYTHON=/path/to/python3.11." >&2
    exit 2
fi
version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || version=unknown
if [ "$version" != 3.11 ]; then
    echo "$python is Python $version, LIBER needs 3.11: install it or run make PYTHON=/path/to/python3.11." >&2
    exit 2
fi
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "$python has no venv module: install it (Debian: apt-get install python3.11-venv)." >&2
    exit 2
fi
