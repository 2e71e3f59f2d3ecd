#!/bin/bash
# The whole workflow, then its report: what `make run` does. Arguments go to Snakemake. With DEEPCAM_REPORT_ONLY=1, the
# report alone, made anew from the records that there are: what `make report` does.
set -euo pipefail
mkdir -p results
exec 9> results/.lock
flock -n 9 || { echo "error: another run is under way in this folder; wait for it, or stop it" >&2; exit 1; }
prepare() {
    python "$(dirname "$0")/prepare_run.py" "$@" 9>&-
}
quietly() { # says something only where it fails
    talk=$("$@" 2>&1 9>&-) || { echo "$talk" >&2; exit 1; }
}
report=results/report.zip
status=0
have_records() { compgen -G 'results/benchmark/*/*.json' > /dev/null; }
trap 'exit 130' INT TERM
if [ -n "${DEEPCAM_REPORT_ONLY:-}" ]; then
    prepare "$@"
    have_records || { echo "error: results/benchmark: no record; run the workflow first (make run)" >&2; exit 1; }
    quietly snakemake --forceall "$@"
else
    prepare --then-run "$@" || status=$?
    if [ $status != 0 ]; then # what failed jobs leave out, the summary names
        [ $status != 2 ] && have_records || exit $status # 2: the arguments or the configuration are wrong
        export DEEPCAM_REPORT_ONLY=1
        quietly snakemake "$@"
    fi
fi
if [ ! -e results/summary.html ]; then # the arguments ask for a part of the workflow
    exit $status
fi
if [ ! -e "$report" ] || [ -n "$(find results/summary.html results/explorer.html results/figures -newer "$report" -type f)" ]; then
    quietly snakemake --report "$report" "$@"
    rm -rf "${report%.zip}"
    python -m zipfile -e "$report" results
fi
[ $status = 0 ] || echo "error: some jobs failed; the report covers the finished jobs. Run the same command again for the rest." >&2
cat <<END
summary: results/summary.html (the page to read first)
report:  results/report/report.html (to pass on: $report; to repeat: make bundle)
tables:  results/tables/*.csv, results/explorer.html
figures: results/figures/*.svg *.png *.csv
END
exit $status
