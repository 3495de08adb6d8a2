#!/usr/bin/env bash
# The alerts' tests run Prometheus' own promtool: taken out of Debian's package, nothing is installed or started; others
# are told how. Argument: the folder to put it into.
set -eu
if command -v promtool >/dev/null || [ -x "$1/promtool" ]; then exit 0; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
fetch() { (cd "$folder" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .) >/dev/null 2>&1; }
if command -v apt-get >/dev/null; then
    if fetch || { [ "$(id -u)" = 0 ] && apt-get update -qq >/dev/null 2>&1 && fetch; }; then
        install "$folder/usr/bin/promtool" "$1/promtool"
        exit 0
    fi
fi
echo "The tests need promtool: install it (Debian: apt-get install prometheus) and run make test again." >&2
exit 2
