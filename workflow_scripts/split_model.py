"""Split a checkpoint into parts that are small enough for a Git repository, and write their SHA256SUMS."""

from __future__ import annotations

from pathlib import Path

from deepcam import cli
from deepcam.model import split_file


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="checkpoint to split")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder for the parts; replaces older parts")
    parser.add_argument("--part-bytes", type=int, default=split_file.PART_BYTES, help="bytes per part (default 4 MiB)")
    arguments = parser.parse_args()
    split_file.split(arguments.model, arguments.output_dir, arguments.part_bytes)


if __name__ == "__main__":
    cli.run(main)
