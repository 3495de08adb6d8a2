#!/usr/bin/env bash
# Known vulnerabilities of the pinned requirements. Ends with 0: asked, none known; 1: some are; 3: nobody answered, so
# nothing was checked.
set -uo pipefail
bin=$1
found=$(mktemp)
trap 'rm -f "$found"' EXIT
for service in osv pypi; do
    "$bin/pip-audit" --requirement requirements.txt --no-deps --disable-pip --progress-spinner off --timeout 20 \
        --vulnerability-service "$service" --format json --output "$found" 2>"$found.said"
    said=$(tail -n 1 "$found.said")
    rm -f "$found.said"
    checked=$("$bin/python" - "$found" "$service" <<'PYTHON'
import json, pathlib, sys
file, service = pathlib.Path(sys.argv[1]), sys.argv[2]
named = json.loads(file.read_text() or "{}").get("dependencies", [])
skipped = [one["name"] for one in named if "skip_reason" in one]  # also all of them, where nobody answers
known = [(one["name"], one["version"], bad) for one in named for bad in one.get("vulns", [])]
for name, version, bad in known:
    print(name, version, bad["id"], "fixed in", ", ".join(bad["fix_versions"]) or "no version yet")
if len(named) > len(skipped):
    left_out = f"; NOT checked: {' '.join(skipped)}" if skipped else ""
    print(f"{len(named) - len(skipped)} packages checked by {service}, {len(known)} known vulnerabilities{left_out}.")
sys.exit(1 if known else 0)
PYTHON
    )
    status=$?
    if [ -n "$checked" ]; then
        echo "$checked"
        exit "$status"
    fi
    echo "$service does not answer: ${said:-no reason given}" >&2
done
echo "NOT AUDITED: no advisory database can be reached from here. Run \`make audit\` where one can." >&2
exit 3
