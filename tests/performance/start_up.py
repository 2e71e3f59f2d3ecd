"""One rank of a real start, as run_benchmark runs it. It notes when each phase has ended, seconds since 1970."""

import json
import os
import time
from pathlib import Path

ENDED = {"interpreter": time.time()}

import common  # noqa: E402, F401 first: it finds the project's code
from deepcam import cli  # noqa: E402
from deepcam.benchmark import arguments, run  # noqa: E402

ENDED["imports"] = time.time()


def noting(phase, function):
    """The function, with a note of when it has ended."""

    def noted(*words):
        found = function(*words)
        ENDED[phase] = time.time()
        return found

    return noted


def main():
    import sys

    job = arguments.parse(sys.argv[1:])
    run.ranks.init_ranks = noting("MPI", run.ranks.init_ranks)
    run._measure = noting("reading", run._measure)
    run.run(job)
    ENDED["record"] = time.time()
    Path(f"times-{os.getpid()}.json").write_text(json.dumps(ENDED))


if __name__ == "__main__":
    cli.run(main)
