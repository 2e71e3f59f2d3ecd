"""Check the configuration files of a run, and remove the lock of a run that was killed, before Snakemake starts."""

import contextlib
import io
import os
from collections.abc import Sequence
from pathlib import Path

from deepcam import cli, launch
from deepcam.config import file as config_file
from deepcam.errors import InputError
from snakemake.cli import parse_args


def main() -> None:
    parser = cli.Parser(description=__doc__, epilog="All other arguments are Snakemake's.")
    parser.add_argument("--keep-lock", action="store_true", help="check the files only, because nothing will run")
    own, arguments = parser.parse_known_args()
    folder = check_files(arguments)
    if not own.keep_lock:
        os.chdir(folder)
        launch.remove_stale_run_lock()


def check_files(arguments: Sequence[str]) -> Path:
    """Check the configuration files that Snakemake's arguments name, and return the working directory that they name.

    Raises InputError for arguments that Snakemake does not understand, and for a file that it must not read.
    """
    said = io.StringIO()  # Snakemake will say it again
    try:
        with contextlib.redirect_stderr(said):
            _, asked = parse_args(arguments)
    except SystemExit as end:
        if end.code:
            raise InputError(said.getvalue().strip().splitlines()[-1].partition("rror: ")[2]) from None
        raise
    for path in asked.configfile or []:
        config_file.load(Path(path))
    return Path(asked.directory or ".")


if __name__ == "__main__":
    cli.run(main)
