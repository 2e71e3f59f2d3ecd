"""Progress through bytes or files, with rate and remaining time.

It is a bar on a terminal, otherwise a log line every few seconds.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from tqdm import tqdm

log = logging.getLogger(__name__)

LOG_SECONDS = 5
LOG_LINE = "{desc}: {n_fmt} of {total_fmt}, {rate_fmt}, {remaining} left"

MOST_PER_TASK = 64
"""Items that a thread takes at once. A task for each of a hundred thousand items would need much memory."""

Item = TypeVar("Item")
Result = TypeVar("Result")


class _LogLines:
    """A file for tqdm to write to. Every state of the bar becomes a log line."""

    def write(self, text: str) -> None:
        if line := text.strip():
            log.info("%s", line)

    def flush(self) -> None:
        """Does nothing: lines are not buffered."""


@contextlib.contextmanager
def transfer_progress(name: str, total: int, unit: str = "B") -> Iterator[Callable[[int], None]]:
    """Yield a thread-safe function to report transferred bytes, or finished items of another unit, with.

    The number is negative when a transfer starts over and its bytes no longer count.
    """
    style = {} if sys.stderr.isatty() else {"file": _LogLines(), "mininterval": LOG_SECONDS, "bar_format": LOG_LINE}
    lock = threading.Lock()
    with tqdm(desc=name, total=total, unit=unit, unit_scale=unit == "B", miniters=1, **style) as bar:

        def advance(transferred: int) -> None:
            with lock:
                bar.update(transferred)

        yield advance


def for_each(name: str, function: Callable[[Item], Result], items: Sequence[Item], threads: int) -> list[Result]:
    """Return what `function` returns for each item, in order, and show the progress. The first exception ends it."""
    per_task = min(max(1, len(items) // (4 * threads)), MOST_PER_TASK)
    failed = threading.Event()
    with transfer_progress(name, len(items), " files") as advance, ThreadPoolExecutor(threads) as pool:

        def work(start: int) -> list[Result]:
            results = []
            for item in items[start : start + per_task]:
                if failed.is_set():
                    break
                try:
                    results.append(function(item))
                except BaseException:
                    failed.set()
                    raise
                advance(1)
            return results

        return [result for part in pool.map(work, range(0, len(items), per_task)) for result in part]
