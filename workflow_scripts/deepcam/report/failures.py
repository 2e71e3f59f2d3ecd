"""Which jobs failed, and why: the end of a long run, where Snakemake's own messages are far above."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from deepcam import job_log

ADVICE = "Finished jobs are kept. Once the cause is fixed, the same command runs the remaining jobs."


def lines(snakemake_logs: Iterable[Path | str]) -> list[str]:
    """The lines that say why each failed job failed, with its log's path, then what to do.

    A job that failed and then succeeded in another attempt is left out. The logs that Snakemake's logs name are
    relative to the working directory.
    """
    text = "".join(Path(path).read_text(encoding="utf-8", errors="replace") for path in snakemake_logs)
    reasons = {}
    for error in re.split(r"^Error in rule\b", text, flags=re.M)[1:]:
        output, log = _field(error, r"output: (.*?)(?:, |$)"), _field(error, r"log: ([^\s,]+)")
        if not (output and Path(output).is_file()):
            reasons[log] = job_log.reasons(
                Path(log), _field(error, r"message: (?!None$)(.*?) *(?:For further error details|$)")
            )
    return [*(f"failed: {log}: {reason}" for log, found in reasons.items() for reason in found), ADVICE]


def _field(error: str, pattern: str) -> str:
    """The first match of a pattern in the indented lines of an error; empty if there is none."""
    found = re.search(rf"^    {pattern}", error, re.M)
    return found[1] if found else ""
