"""Remove what runs made in this folder, and ask before removing records, trained weights and data.

Data that belong to somebody else (`data.source`), files that git tracks, and the environment stay.
"""

import sys

from deepcam import cleanup, cli, files, launch
from deepcam.errors import InputError


def main() -> None:
    parser = cli.Parser(description=__doc__)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--force", action="store_true", help="do not ask, and remove everything")
    what.add_argument(
        "--invalid",
        action="store_true",
        help="remove only the records of configurations that are invalid in summary.csv",
    )
    args = parser.parse_args()
    try:
        with files.locked(cleanup.RESULTS / ".lock", wait=False):
            launch.remove_stale_run_lock()
            if args.invalid:
                _clean_invalid()
            else:
                _clean(args.force)
    except BlockingIOError:
        raise InputError("another run is under way in this folder; wait for it, or stop it") from None


def _clean_invalid() -> None:
    found = cleanup.invalid()
    cleanup.remove(found)
    print("\n".join(f"removed {path}" for path in found) or "nothing to remove: all configurations are valid")


def _clean(force: bool) -> None:
    groups = cleanup.find()
    asked = [group.question for group in groups if group.question]
    if asked and not force and not sys.stdin.isatty():
        raise InputError(
            f"there is no terminal to ask whether to remove {' and '.join(asked)}; FORCE=1 removes them without asking"
        )
    chosen = [group for group in groups if force or not group.question or _agreed(group.question)]
    for group in chosen:
        cleanup.remove(group.paths)
        print(f"removed {group.question or ', '.join(map(str, group.paths))}")
    if not groups:
        print("nothing to remove")


def _agreed(question: str) -> bool:
    return input(f"Remove {question}? [y/N] ").strip().lower() in ("y", "yes")


if __name__ == "__main__":
    cli.run(main)
