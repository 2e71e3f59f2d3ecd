"""What all command line programs share: the log format, and how a program ends after an error."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from deepcam.errors import InputError


def run(main: Callable[[], None], *, failure_status: int = 1) -> None:
    """Run `main` with logging to stderr, and end the process with `failure_status` after an error."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)
    try:
        main()
    except InputError as error:
        for line in error.lines:
            print(f"error: {_rank()}{line}", file=sys.stderr)
        sys.exit(failure_status)
    except Exception as error:
        print(f"error: {_rank()}{type(error).__name__}: {error}", file=sys.stderr, flush=True)
        sys.exit(failure_status)


def _rank() -> str:
    """The prefix that names the MPI rank of this process, as set by the launcher; empty without one."""
    rank = os.environ.get("PMIX_RANK", os.environ.get("SLURM_PROCID"))
    return f"rank {rank}: " if rank is not None else ""
