"""Which jobs failed, and why: the end of a long run, where Snakemake's own messages are far above."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

ADVICE = "Finished jobs are kept. Once the cause is fixed, the same command runs the remaining jobs."

_ERROR_LINE = re.compile(r"([\w-]+: )?error: ")
"""How this project's programs, and launchers such as srun, begin the line that says why they failed."""

_EXCEPTION = re.compile(r"[A-Za-z_.]+(Error|Exception|Interrupt)\b")

_FRAME = re.compile(r"^-{20,}\n(.*?)^-{20,}$\n?", re.M | re.S)
"""A message of mpirun, which it writes between two lines of dashes."""


def lines(snakemake_logs: Iterable[Path | str]) -> list[str]:
    """A line for each failed job with its log's path and the reason, then what to do.

    A job that failed and then succeeded in another attempt is left out. The logs that Snakemake's logs name are
    relative to the working directory.
    """
    text = "".join(Path(path).read_text(encoding="utf-8", errors="replace") for path in snakemake_logs)
    reasons = {}
    for error in re.split(r"^Error in rule\b", text, flags=re.M)[1:]:
        output, log = _field(error, r"output: (.*?)(?:, |$)"), _field(error, r"log: ([^\s,]+)")
        if not (output and Path(output).is_file()):
            reasons[log] = _reason(error, Path(log))
    return [*(f"failed: {log}: {reason}" for log, reason in reasons.items()), ADVICE]


def _reason(error: str, log: Path) -> str:
    """The reason, from the most to the least certain source.

    These are the job's own error line, what the executor says of a job that it could not run, mpirun's message about a
    rank that was killed, the exception that ends a traceback, any message of mpirun, and the last line.
    """
    written = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    outside = [line for line in _FRAME.sub("", written).splitlines() if re.search(r"\w", line)]
    framed = [" ".join(message.split()) for message in _FRAME.findall(written)]
    found = [
        *filter(_ERROR_LINE.match, outside),
        _field(error, r"message: (?!None$)(.*?) *(?:For further error details|$)"),
        *(message for message in framed if "exited on signal" in message),
        *filter(_EXCEPTION.match, outside[-1:]),
        *framed,
        *outside[-1:],
        "its log is empty",
    ]
    return next(filter(None, found))


def _field(error: str, pattern: str) -> str:
    """The first match of a pattern in the indented lines of an error; empty if there is none."""
    found = re.search(rf"^    {pattern}", error, re.M)
    return found[1] if found else ""
