#!/bin/bash
# The whole workflow, then its report: what `make run` does. Arguments go to Snakemake.
set -euo pipefail
mkdir -p results
# A workflow that was killed leaves Snakemake's own lock behind. This one the kernel frees, so whoever holds it may
# remove the other; a Snakemake that was started by hand in this folder is looked for too.
exec 9> results/.lock
flock -n 9 || { echo "error: another run is under way in this folder; wait for it, or stop it" >&2; exit 1; }
locks=.snakemake/locks
if [ -n "$(ls -A "$locks" 2>/dev/null)" ]; then
    for process in /proc/[0-9]*; do
        if [ "$(readlink "$process/cwd" 2>/dev/null)" = "$PWD" ] &&
            tr '\0' ' ' < "$process/cmdline" 2>/dev/null | grep -q 'bin/snakemake'; then
            echo "error: Snakemake runs in this folder (process ${process#/proc/}); wait for it, or stop it" >&2
            exit 1
        fi
    done
    rm -f "$locks"/*
fi
snakemake "$@" 9>&-
report=results/report.zip
if [ ! -e "$report" ] || [ -n "$(find results/tables results/figures -newer "$report" -type f)" ]; then
    snakemake --report "$report" "$@" 9>&-
fi
printf 'tables:  results/tables/summary.csv  results/tables/best.csv\nfigures: results/figures/*.svg *.png\nreport:  %s (unpack it, open report.html)\n' "$report"
