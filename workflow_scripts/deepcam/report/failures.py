"""Which jobs failed, and why: the end of a long run, where Snakemake's own messages are far above."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ADVICE = "Finished jobs are kept. Once the cause is fixed, the same command runs the remaining jobs."

_ERROR_LINE = re.compile(r"([\w-]+: )?error: ")
"""How this project's programs, and launchers such as srun, begin the line that says why they failed."""


def lines(snakemake_logs: Iterable[Path | str]) -> list[str]:
    """A line for each failed job with its log's path and the reason, then what to do.

    A job that failed and then succeeded in another attempt is left out. The logs that Snakemake's logs name are
    relative to the working directory.
    """
    text = "".join(Path(path).read_text(encoding="utf-8", errors="replace") for path in snakemake_logs)
    reasons = {}
    for error in re.split(r"^Error in rule\b", text, flags=re.M)[1:]:
        output, log = _field(error, r"output: ([^\s,]+)"), _field(error, r"log: ([^\s,]+)")
        if not (output and Path(output).exists()):
            reasons[log] = _reason(error, Path(log))
    return [*(f"failed: {log}: {reason}" for log, reason in reasons.items()), ADVICE]


def _reason(error: str, log: Path) -> str:
    """The job's first error line; else what the executor says of a job that it could not run; else the last line."""
    written = (
        [line for line in log.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
        if log.is_file()
        else []
    )
    own = [line for line in written if _ERROR_LINE.match(line)]
    executors = _field(error, r"message: (?!None$)(.*?) *(?:For further error details|$)")
    return next(filter(None, [*own, executors, *written[-1:], "its log is empty"]))


def _field(error: str, pattern: str) -> str:
    """The first match of a pattern in the indented lines of an error; empty if there is none."""
    found = re.search(rf"^    {pattern}", error, re.M)
    return found[1] if found else ""
