#!/bin/bash
# Run everything that needs a GPU, in as many calls as a machine allows that is lent for minutes: tests/gpu/run_all.sh OUT
# Each call takes at most SECONDS_PER_CALL (default 540) and goes on where the last one stopped; WORK keeps its state
# (default /tmp/deepcam-gpu). OUT gets at most 8 files of at most 16 MiB: tables, records, figures, the profile and logs.
# Other arguments go to tests/gpu/check.py, such as --dry-run for a rehearsal without a GPU. The exit status is 0 once
# all steps have ended well, 75 while there are steps to go on with, and 1 if one failed.
set -euo pipefail
out=$(realpath -m "${1:?usage: tests/gpu/run_all.sh OUT [OPTION ...]}")
shift
cd "$(dirname "$0")/../.."
work=${WORK:-/tmp/deepcam-gpu}
mkdir -p "$work/results" "$out"

python3 tests/gpu/check.py "$work/out" --work-dir "$work" --seconds "${SECONDS_PER_CALL:-540}" "$@"

figures=$work/results/figures
tar -czf "$work/figures.tar.gz" -C "$work/results" $([ ! -d "$figures" ] || echo figures) -C "$work" steps.json
small() { # the file itself, or its end if it is too large
    [ -s "$1" ] || return 0
    if [ "$(stat -c %s "$1")" -le $((16 << 20)) ]; then cp "$1" "$out/"; else tail -c $((16 << 20)) "$1" > "$out/${1##*/}.end"; fi
}
for file in table.txt summary.csv summary.html bundle.tar.gz profile.txt logs.tar.gz log.txt; do small "$work/out/$file"; done
small "$work/figures.tar.gz"

python3 - "$work/out/table.txt" << 'END'
import sys
lines = open(sys.argv[1], encoding="utf-8").read().split("\n\n")[0].splitlines()[1:]
results = [line.split()[1] for line in lines]
sys.exit(1 if "FAILED" in results else 75 if {"-", "stopped"} & set(results) else 0)
END
