"""Check the configuration files of a run, and remove the lock of a run that was killed, before Snakemake starts.

It ends with status 2 after a mistake in the arguments or the configuration, as Snakemake does with this workflow.
"""

import contextlib
import io
import logging
from collections.abc import Sequence
from pathlib import Path

from deepcam import cli, launch
from deepcam.config import file as config_file
from deepcam.errors import InputError
from snakemake import cli as snakemake


def main() -> None:
    parser = cli.Parser(description=__doc__, epilog="All other arguments are Snakemake's.")
    parser.add_argument("--keep-lock", action="store_true", help="check the files only, because nothing will run")
    parser.add_argument("--then-run", action="store_true", help="run Snakemake, too: importing it once saves a second")
    own, arguments = parser.parse_known_args()
    folder = check_files(arguments)
    if not own.keep_lock:
        with contextlib.chdir(folder):
            launch.remove_stale_run_lock()
    if own.then_run:
        logging.getLogger().handlers.clear()  # Snakemake has its own, and each message would be shown twice
        snakemake.main(arguments)


def check_files(arguments: Sequence[str]) -> Path:
    """Check the configuration files that Snakemake's arguments name, and return the working directory that they name.

    Raises InputError for arguments that Snakemake does not understand, and for a file that it must not read.
    """
    said = io.StringIO()  # Snakemake will say it again
    try:
        with contextlib.redirect_stderr(said):
            _, asked = snakemake.parse_args(arguments)
    except SystemExit as end:
        if end.code:
            raise InputError(said.getvalue().strip().splitlines()[-1].partition("rror: ")[2]) from None
        raise
    for path in asked.configfile or []:
        config_file.load(Path(path))
    return Path(asked.directory or ".")


if __name__ == "__main__":
    cli.run(main, failure_status=2)
