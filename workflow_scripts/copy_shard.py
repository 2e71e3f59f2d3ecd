"""Copy the data files of one shard of a dataset to another place, and compare the hashes."""

from pathlib import Path

from deepcam import cli
from deepcam.config.types import Natural, Positive, argument
from deepcam.data import copies


def main() -> None:
    parser = cli.Parser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="dataset.json of the originals")
    parser.add_argument("--shard", type=argument(Natural), required=True, help="number of the shard, from 0")
    parser.add_argument("--files-per-shard", type=argument(Positive), required=True, help="samples per shard")
    parser.add_argument("--threads", type=argument(Positive), required=True, help="number of files to copy in parallel")
    parser.add_argument("--output-dir", type=Path, required=True, help="folder of the shard to write")
    arguments = parser.parse_args()
    copies.copy_shard(
        arguments.dataset, arguments.shard, arguments.files_per_shard, arguments.output_dir, arguments.threads
    )


if __name__ == "__main__":
    cli.run(main)
