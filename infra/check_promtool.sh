#!/usr/bin/env bash
# The alerts' tests run Prometheus' own promtool: taken out of Debian's package, nothing is installed or started. Without
# it those tests are skipped. Argument: the folder to put it into.
set -eu
if command -v promtool >/dev/null || [ -x "$1/promtool" ]; then exit 0; fi
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
if command -v apt-get >/dev/null && (cd "$folder" && apt-get download -qq prometheus && dpkg-deb -x prometheus_*.deb .) \
    >/dev/null 2>&1; then
    install "$folder/usr/bin/promtool" "$1/promtool"
else
    echo "No promtool: the tests of infra/monitoring/alerts.yml are skipped." >&2
fi
