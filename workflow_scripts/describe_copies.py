"""Describe the copies of a dataset at another place in a dataset.json of their own."""

from pathlib import Path

from deepcam import cli
from deepcam.config.types import Positive, argument
from deepcam.data import copies


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json of the originals")
    parser.add_argument("--npy-dir", type=Path, required=True, help="folder of the shards of copies")
    parser.add_argument("--shards", type=argument(Positive), required=True, help="number of shards")
    parser.add_argument("--output", type=Path, required=True, help="dataset.json to write")
    arguments = parser.parse_args()
    copies.describe(arguments.dataset, arguments.npy_dir, arguments.shards, arguments.output.parent).write(
        arguments.output
    )


if __name__ == "__main__":
    cli.run(main)
