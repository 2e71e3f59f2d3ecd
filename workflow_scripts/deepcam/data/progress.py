"""How far a transfer is, with its rate and the time left: a bar on a terminal, else a log line every few seconds."""

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
    """What tqdm writes to: every state of the bar becomes a log line."""

    def write(self, text: str) -> None:
        if line := text.strip():
            log.info("%s", line)

    def flush(self) -> None:
        """Nothing is held back."""


@contextlib.contextmanager
def transferring(name: str, total_bytes: int) -> Iterator[Callable[[int], None]]:
    """Yield a function, safe in threads, that takes the bytes gained; a transfer that starts over takes some back."""
    style = {} if sys.stderr.isatty() else {"file": _LogLines(), "mininterval": LOG_SECONDS, "bar_format": LOG_LINE}
    lock = threading.Lock()
    with tqdm(desc=name, total=total_bytes, unit="B", unit_scale=True, miniters=1, **style) as bar:

        def advance(gained: int) -> None:
            with lock:
                bar.update(gained)

        yield advance
