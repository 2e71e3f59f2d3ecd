"""Why a job failed, from its log."""

from __future__ import annotations

import re
from pathlib import Path

MOST_LINES = 20
"""Reasons that are told of one job."""

_ERROR_LINE = re.compile(r"([\w-]+: )?error: ")
"""How this project's programs, and launchers such as srun, begin the line that says why they failed."""

_EXCEPTION = re.compile(r"[A-Za-z_.]+(Error|Exception|Interrupt)\b")

_FRAME = re.compile(r"^-{20,}\n(.*?)^-{20,}$\n?", re.M | re.S)
"""A message of mpirun, which it writes between two lines of dashes."""


def reasons(log: Path, outside: str = "") -> list[str]:
    """The job's own error lines, or else one line from the first of these sources that has one:

    - text `outside` the log, such as what an executor says of a job that it could not run,
    - mpirun's message about a rank that was killed,
    - the exception that ends a traceback,
    - any other message of mpirun,
    - the last line.
    """
    written = log.read_text(encoding="utf-8", errors="replace") if log.is_file() else ""
    lines = [line for line in _FRAME.sub("", written).splitlines() if re.search(r"\w", line)]
    framed = [" ".join(message.split()) for message in _FRAME.findall(written)]
    own = list(filter(_ERROR_LINE.match, lines))
    others = [
        outside,
        *(message for message in framed if "exited on signal" in message),
        *filter(_EXCEPTION.match, lines[-1:]),
        *framed,
        *lines[-1:],
        "its log is empty",
    ]
    return own[:MOST_LINES] or [next(filter(None, others))]
