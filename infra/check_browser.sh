#!/usr/bin/env bash
# The dashboard's tests drive a system Chromium; root on Debian gets it installed, others are told how.
set -eu
for name in chromium chromium-browser google-chrome; do
    if command -v "$name" >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing Chromium for the dashboard's tests ..."
    { apt-get update -qq && apt-get install -y -qq chromium; } >/dev/null 2>&1 && exit 0
fi
echo "The tests need Chromium: install it (Debian: apt-get install chromium) and run make test again." >&2
exit 2
