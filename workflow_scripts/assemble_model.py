"""Join the parts of a model into one checkpoint, after checking them against SHA256SUMS."""

from __future__ import annotations

from pathlib import Path

from deepcam import cli
from deepcam.model import split_file


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--parts", type=Path, required=True, help="folder with the files model_part_* and SHA256SUMS")
    parser.add_argument("--output", type=Path, required=True, help="checkpoint to write")
    arguments = parser.parse_args()
    split_file.assemble(arguments.parts, arguments.output)


if __name__ == "__main__":
    cli.run(main)
