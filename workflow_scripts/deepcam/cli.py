"""What all command line programs share: the log format, and how bad input ends a run."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from deepcam.climate import InputError


def run(main: Callable[[], None]) -> None:
    """Run `main` with logging to stderr; on InputError print one line to stderr and exit with status 1."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        main()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
