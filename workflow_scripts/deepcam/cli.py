"""What all command line programs share: the parser, the log format, and how a program ends after an error."""

from __future__ import annotations

import argparse
import contextlib
import errno
import io
import logging
import os
import re
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from deepcam.errors import InputError
from deepcam.text import printable

NO_ACCESS = "give this user access to it, or use another folder"
NO_ROOM = "make room on this disk, or use another one"
NO_MEMORY = "use fewer ranks, threads or samples per batch, or a machine with more memory"
TOO_MANY_FILES = "raise the limit of open files (ulimit -n)"
WRONG_KIND = "another kind of file is in its place: move it away, or name another path"
STORAGE_FAILED = "the storage failed: look at the kernel's messages (dmesg)"

ADVICE = {
    errno.EACCES: NO_ACCESS,
    errno.EPERM: NO_ACCESS,
    errno.EROFS: "this file system is read-only: use a folder on another one",
    errno.ENOSPC: NO_ROOM,
    errno.EDQUOT: NO_ROOM,
    errno.ENOMEM: NO_MEMORY,
    errno.EMFILE: TOO_MANY_FILES,
    errno.ENFILE: TOO_MANY_FILES,
    errno.ENOENT: "check that it exists, and that nothing removes it during a run",
    errno.EEXIST: WRONG_KIND,
    errno.ENOTDIR: WRONG_KIND,
    errno.EISDIR: WRONG_KIND,
    errno.EIO: STORAGE_FAILED,
    errno.ESTALE: STORAGE_FAILED,
}
"""What to do about errors of the operating system."""

RANK_VARIABLES = ("PMIX_RANK", "PMI_RANK", "SLURM_PROCID")
"""Environment variables in which launchers state the number of a rank: with PMIx, with PMI or PMI-2, and Slurm."""

LINE_WIDTH = 600
"""Largest number of characters of an unexpected error's text."""

_PROGRAMS = Path(__file__).resolve().parents[1]


class Parser(argparse.ArgumentParser):
    """A parser that reports a mistake in one line, without its list of options."""

    def error(self, message: str) -> NoReturn:
        raise InputError(f"{message}; see --help")


def run(main: Callable[[], None], *, failure_status: int = 1, log: str | None = None) -> None:
    """Run `main`, and end the process with `failure_status` after an error.

    Bad input is told in one line per mistake, and any other error in one line too, which is the last on stderr. The
    traceback of the latter stands above it, indented, because the stderr of a job is its log. A program that people
    start names a file for the traceback, `log`.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A terminal that is not UTF-8 shows escape sequences for what it cannot show.
            stream.reconfigure(errors="backslashreplace")
    try:
        main()
    except InputError as error:
        _end(failure_status, *error.lines)
    except KeyboardInterrupt:
        _end(128 + signal.SIGINT, "interrupted")
    except Exception as error:
        _end(failure_status, unexpected(error, _keep_traceback(log)))


def unexpected(error: Exception, traceback_place: str = "the traceback") -> str:
    """One line for an error that no program raises on purpose: what happened, in which of our lines, and what to do."""
    text = textwrap.shorten(str(error), LINE_WIDTH, placeholder=" ...")
    frames = traceback.extract_tb(error.__traceback__)[1:]  # without that of `run`
    ours = [frame for frame in frames if _PROGRAMS in Path(frame.filename).parents]
    place = f" ({Path(ours[-1].filename).relative_to(_PROGRAMS)}, line {ours[-1].lineno})" if ours else ""
    said = printable(": ".join(filter(None, [type(error).__name__, text])))
    return f"{said}{place}; {_advice(error, traceback_place)}"


def _advice(error: Exception, traceback_place: str) -> str:
    if isinstance(error, MemoryError) or re.search(r"out of memory|allocate memory", str(error)):
        return NO_MEMORY
    if isinstance(error, OSError) and error.errno in ADVICE:
        return ADVICE[error.errno]
    if isinstance(error, UnicodeError):
        return "a name or a text is not UTF-8: rename or rewrite it"
    return f"if nothing in your input explains it, report this fault of the program with {traceback_place}"


def _keep_traceback(log: str | None) -> str:
    """Write the current traceback to `log`, or to stderr without one. Return the words that say where it is."""
    text = traceback.format_exc()
    if log is None:
        # Indented, so that no line of it is taken for the line that says why the job failed.
        print(textwrap.indent(text, "    "), file=sys.stderr, flush=True)
        return "the traceback above"
    with contextlib.suppress(OSError):
        Path(log).parent.mkdir(parents=True, exist_ok=True)
        Path(log).write_text(text, encoding="utf-8", errors="backslashreplace")
        return f"the traceback in {log}"
    return "this line"


def _end(status: int, *lines: str) -> None:
    """End the process after lines that name the MPI rank of this process, if a launcher has set it."""
    rank = next((os.environ[name] for name in RANK_VARIABLES if name in os.environ), None)
    for line in lines:
        print("error: " + (f"rank {rank}: " if rank is not None else "") + line, file=sys.stderr, flush=True)
    sys.exit(status)
