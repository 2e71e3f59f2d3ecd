"""Progress of a transfer with rate and remaining time: a bar on a terminal, otherwise a log line every few seconds."""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator

from tqdm import tqdm

log = logging.getLogger(__name__)

LOG_SECONDS = 5
LOG_LINE = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left"


class _LogLines:
    """A file for tqdm to write to. Every state of the bar becomes a log line."""

    def write(self, text: str) -> None:
        if line := text.strip():
            log.info("%s", line)

    def flush(self) -> None:
        """Does nothing: lines are not buffered."""


@contextlib.contextmanager
def transfer_progress(name: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Yield a thread-safe function to report transferred bytes with.

    The number is negative when a transfer starts over and its bytes no longer count.
    """
    style = {} if sys.stderr.isatty() else {"file": _LogLines(), "mininterval": LOG_SECONDS, "bar_format": LOG_LINE}
    lock = threading.Lock()
    with tqdm(desc=name, total=total_bytes, unit="B", unit_scale=True, miniters=1, **style) as bar:

        def advance(transferred: int) -> None:
            with lock:
                bar.update(transferred)

        yield advance
